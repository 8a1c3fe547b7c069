// Values and gradients that PyTorch made (tests/golden/README.md), beside an op's own.
#pragma once

#include <exception>
#include <set>

#include <heed/autograd/backward.h>
#include <heed/data/safetensors.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(data::read_safetensors(std::string(HEED_SOURCE_DIR) + "/tests/golden/" + name +
                                     ".safetensors")) {}

  // Everything in the file must be used before the test ends: what is generated is compared.
  ~Golden() noexcept(false) {
    if (std::uncaught_exceptions() > 0) return;
    for (const data::NamedArray& tensor : file_.tensors) {
      const std::string& name = tensor.name;
      INFO(name << " is in the file and in no test");
      CHECK(used_.count(name.substr(0, name.find('.'))) == 1);
    }
  }

  Tensor at(const std::string& name) const {
    used_.insert(name.substr(0, name.find('.')));
    return Tensor(file_.at(name)).clone();
  }

  // f of the inputs named; those with a gradient in the file want one.
  void check(const std::string& name, const std::vector<std::string>& inputs, const Run& f) const {
    INFO(name);
    std::vector<Tensor> in, wanted, expected;
    for (const std::string& input : inputs) {
      in.push_back(at(name + "." + input));
      if (const Array* gradient = file_.find(name + ".grad." + input)) {
        in.back().set_requires_grad(true);
        wanted.push_back(in.back());
        expected.emplace_back(*gradient);
      }
    }
    Tensor out = f(in);
    compare("out", out, at(name + ".out"));
    REQUIRE_FALSE(wanted.empty());
    auto gradients = grad({out}, wanted, {at(name + ".cotangent")});
    for (size_t i = 0; i < gradients.size(); ++i) compare("gradient", gradients[i], expected[i]);
  }

 private:
  static void compare(const char* what, const Tensor& got, const Tensor& want) {
    INFO(what << " " << got << " expected " << want);
    REQUIRE(got.shape() == want.shape());
    REQUIRE(close(got.to_vector(), want.to_vector(), 1e-11, 1e-2));
  }
  data::SafeTensors file_;
  mutable std::set<std::string> used_;  // cases
};

}  // namespace heed::test
