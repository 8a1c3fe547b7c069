#include <iterator>

#include <heed/tests/support/opcase.h>

namespace heed::test {

const std::vector<OpCase>& all_cases() {
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> list;
    for (auto cases :
         {unary_cases, binary_cases, view_cases, reduce_cases, index_cases, matmul_cases,
          softmax_cases, norm_cases, image_norm_cases, dropout_cases, loss_cases, attention_cases,
          optimizer_cases, decompose_cases, conv_cases, pool_cases}) {
      std::vector<OpCase> some = cases();
      list.insert(list.end(), std::make_move_iterator(some.begin()),
                  std::make_move_iterator(some.end()));
    }
    return list;
  }();
  return all;
}

}  // namespace heed::test
