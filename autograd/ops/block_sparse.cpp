#include <heed/autograd/ops/block_sparse.h>

#include <limits>
#include <map>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/core/plan.h>

namespace heed {
namespace {

void require_operand(const char* op, const char* what, const Tensor& x, int64_t count) {
  require_floating(op, x.array());
  if (x.rank() != 4 || x.dim(2) != count)
    throw ShapeError(
        str(op, ": ", what, " [B, H, ", count, ", channels] expected, got ", x.shape()));
}

void require_values(const char* op, const Tensor& values, const BlockLayout& layout) {
  require_floating(op, values.array());
  int64_t n = layout.block_count(), b = layout.size();
  if (values.rank() != 5 || values.dim(2) != n || values.dim(3) != b || values.dim(4) != b)
    throw ShapeError(
        str(op, ": values [B, H, ", n, ", ", b, ", ", b, "] expected, got ", values.shape()));
}

// [B, H, N, C] -> [B, H, ceil(N / b), b, C], zeros at the end.
Tensor in_blocks(const Tensor& x, int64_t b) {
  int64_t count = (x.dim(2) + b - 1) / b;
  Tensor whole = pad(x, 2, 0, count * b - x.dim(2));
  return whole.reshape({x.dim(0), x.dim(1), count, b, x.dim(3)});
}

// Block rows with equally many blocks form one batched product.
struct Group {
  std::vector<int64_t> rows, blocks, columns;  // blocks and columns: of all rows, in order
};

std::map<int64_t, Group> groups_of(const BlockLayout& layout) {
  std::map<int64_t, Group> groups;
  for (int64_t r = 0; r < layout.rows(); ++r) {
    int64_t begin = layout.row_begin()[static_cast<size_t>(r)];
    int64_t end = layout.row_begin()[static_cast<size_t>(r) + 1];
    Group& group = groups[end - begin];
    group.rows.push_back(r);
    for (int64_t n = begin; n < end; ++n) {
      group.blocks.push_back(n);
      group.columns.push_back(layout.column()[static_cast<size_t>(n)]);
    }
  }
  return groups;
}

// Undoes an order: out[order[i]] = i.
std::vector<int64_t> inverse(const std::vector<int64_t>& order) {
  std::vector<int64_t> out(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    out[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return out;
}

// The blocks of a group as whole rows: [.., R n, b, b] -> [.., R, b, n b], and back.
Tensor as_rows(const Tensor& blocks, int64_t rows, int64_t degree) {
  int64_t b = blocks.dim(3);
  return blocks.reshape({blocks.dim(0), blocks.dim(1), rows, degree, b, b})
      .permute({0, 1, 2, 4, 3, 5})
      .reshape({blocks.dim(0), blocks.dim(1), rows, b, degree * b});
}

Tensor as_blocks(const Tensor& rows, int64_t degree) {
  int64_t b = rows.dim(3), count = rows.dim(2);
  return rows.reshape({rows.dim(0), rows.dim(1), count, b, degree, b})
      .permute({0, 1, 2, 4, 3, 5})
      .reshape({rows.dim(0), rows.dim(1), count * degree, b, b});
}

}  // namespace

Tensor sampled_product(const Tensor& q, const Tensor& k, const BlockLayout& layout) {
  require_operand("sampled_product", "q", q, layout.queries());
  require_operand("sampled_product", "k", k, layout.keys());
  if (q.dim(0) != k.dim(0) || q.dim(1) != k.dim(1) || q.dim(3) != k.dim(3))
    throw ShapeError(str("sampled_product: q ", q.shape(), " and k ", k.shape(), " differ"));
  std::vector<int64_t> row;
  for (int64_t r = 0; r < layout.rows(); ++r)
    row.resize(static_cast<size_t>(layout.row_begin()[static_cast<size_t>(r) + 1]), r);
  int64_t b = layout.size();
  if (row.empty()) return q.new_zeros({q.dim(0), q.dim(1), 0, b, b});
  Tensor queries = index_select(in_blocks(q, b), 2, row);           // [B, H, N, b, D]
  Tensor keys = index_select(in_blocks(k, b), 2, layout.column());  // [B, H, N, b, D]
  return matmul(queries, keys.transpose(3, 4));                     // [B, H, N, b, b]
}

Tensor block_softmax(const Tensor& values, const BlockLayout& layout) {
  require_values("block_softmax", values, layout);
  if (layout.block_count() == 0) return values;
  Tensor mask(plan_on(layout.block_mask().array(), values.device()));
  mask = mask.reshape({1, 1, layout.block_count(), layout.size(), layout.size()});
  Tensor lowest = values.new_full({1}, -std::numeric_limits<double>::infinity());
  std::vector<Tensor> parts;
  std::vector<int64_t> order;
  for (const auto& [degree, group] : groups_of(layout)) {
    if (degree == 0) continue;
    int64_t rows = static_cast<int64_t>(group.rows.size());
    Tensor keep = as_rows(index_select(mask, 2, group.blocks), rows, degree);  // [1, 1, R, b, n b]
    Tensor x = as_rows(index_select(values, 2, group.blocks), rows, degree);   // [B, H, R, b, n b]
    // Rows of nothing but -inf give zeros.
    Tensor weights = where(keep, softmax(where(keep, x, lowest), -1), 0.0);  // [B, H, R, b, n b]
    parts.push_back(as_blocks(weights, degree));                             // [B, H, R n, b, b]
    order.insert(order.end(), group.blocks.begin(), group.blocks.end());
  }
  return index_select(concat(parts, 2), 2, inverse(order));  // [B, H, N, b, b]
}

Tensor block_sparse_product(const Tensor& values, const Tensor& v, const BlockLayout& layout) {
  require_values("block_sparse_product", values, layout);
  require_operand("block_sparse_product", "v", v, layout.keys());
  if (values.dim(0) != v.dim(0) || values.dim(1) != v.dim(1))
    throw ShapeError(str("block_sparse_product: values ", values.shape(), " and v ", v.shape(),
                         " differ in batch or heads"));
  int64_t batch = v.dim(0), heads = v.dim(1), b = layout.size(), e = v.dim(3);
  if (layout.rows() == 0) return v.new_zeros({batch, heads, 0, e});
  Tensor blocks = in_blocks(v, b);  // [B, H, S / b, b, E]
  std::vector<Tensor> parts;
  std::vector<int64_t> order;
  for (const auto& [degree, group] : groups_of(layout)) {
    int64_t rows = static_cast<int64_t>(group.rows.size());
    order.insert(order.end(), group.rows.begin(), group.rows.end());
    if (degree == 0) {
      parts.push_back(v.new_zeros({batch, heads, rows, b, e}));
      continue;
    }
    Tensor x = as_rows(index_select(values, 2, group.blocks), rows, degree);
    Tensor seen = index_select(blocks, 2, group.columns);
    seen = seen.reshape({batch, heads, rows, degree * b, e});  // [B, H, R, n b, E]
    parts.push_back(matmul(x, seen));                          // [B, H, R, b, E]
  }
  Tensor out = index_select(concat(parts, 2), 2, inverse(order));  // [B, H, T / b, b, E]
  return out.reshape({batch, heads, layout.rows() * b, e}).slice(2, 0, layout.queries());
}

}  // namespace heed
