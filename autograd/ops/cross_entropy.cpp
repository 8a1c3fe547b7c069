#include <heed/autograd/ops/class_target.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/range_flag.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/backends/cross_entropy.h>

namespace heed {

namespace {

struct CrossEntropy {
  static constexpr const char* name = "cross_entropy";
  static constexpr unsigned saves = 0b11;
  CrossEntropyOptions options;
  Array shift, log_sum;  // [rows]: lse(x) in two parts
  Array counted;         // f64 []: how many targets count

  Array forward(Inputs in) {
    const Array& x = in[0];
    int64_t classes = x.dim(-1), rows = x.numel() / classes;
    const DType dtype = accumulate_dtype(x.dtype());
    Array losses = x.new_empty({rows}, dtype);
    shift = x.new_empty({rows}, dtype);
    log_sum = x.new_empty({rows}, dtype);
    counted = x.new_empty({}, DType::f64);
    kernels::cross_entropy(packed(x).view({rows, classes}), packed(in[1]).view({rows}),
                           options.label_smoothing, options.ignore_index, losses, shift, log_sum,
                           counted);
    if (options.reduction == Reduction::none) return losses.view(in[1].shape());
    Array total = x.new_empty({}, dtype);
    kernels::loss_total(losses, divisor(), total);
    return total;
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [&](const std::vector<Tensor>& in) {
        return cross_entropy_reference(in[0], in[1], options);
      });
    Array x = packed(v.input(0).array()), g = packed(v.cotangent().array());
    int64_t classes = x.dim(-1), rows = x.numel() / classes;
    Array grad = x.new_empty(x.shape());
    bool each = options.reduction == Reduction::none;
    kernels::cross_entropy_backward(
        x.view({rows, classes}), packed(v.input(1).array()).view({rows}), options.label_smoothing,
        options.ignore_index, shift, log_sum, each ? g.view({rows}) : g, divisor(),
        grad.view({rows, classes}));
    v.add(0, Tensor(grad));
  }

  Array divisor() const { return options.reduction == Reduction::mean ? counted : Array(); }
};

}  // namespace

void check_class_target(const char* op, const Tensor& target, const Shape& rows, int64_t classes,
                        const CrossEntropyOptions& options) {
  if (target.dtype() != DType::i64)
    throw DTypeError(str(op, ": targets i64 expected, got ", target.dtype()));
  if (!(target.shape() == rows))
    throw ShapeError(str(op, ": targets ", rows, " expected, got ", target.shape()));
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
    throw ValueError(
        str(op, ": label_smoothing is ", options.label_smoothing, ", expected 0 <= e <= 1"));
  Array targets = packed(target.array());
  if (targets.device() != kCpu) return flag_out_of_range(targets, classes, options.ignore_index);
  int64_t bad = kernels::first_bad_target(targets, classes, options.ignore_index);
  if (bad >= 0)
    throw ValueError(str(op, ": target ", targets.data<int64_t>()[bad], " at place ", bad,
                         " is not in [0, ", classes, ") and not ignore_index ",
                         options.ignore_index));
}

Tensor cross_entropy(const Tensor& logits, const Tensor& target,
                     const CrossEntropyOptions& options) {
  const char* op = CrossEntropy::name;
  require_floating(op, logits.array());
  if (logits.rank() == 0 || logits.dim(-1) == 0)
    throw ShapeError(str(op, ": logits [.., V] with V > 0 expected, got ", logits.shape()));
  check_class_target(op, target, Shape(logits.shape().begin(), logits.rank() - 1), logits.dim(-1),
                     options);
  return apply(CrossEntropy{options, {}, {}, {}}, logits, target);
}

// loss = -(1 - e) logp[target] - e mean(logp), over the rows that count.
Tensor cross_entropy_reference(const Tensor& stored, const Tensor& target,
                               const CrossEntropyOptions& options) {
  const Tensor logits = widened(stored);
  double e = options.label_smoothing;
  Tensor ignored = equal(target, static_cast<double>(options.ignore_index));
  Tensor safe = where(ignored, 0.0, target);
  Tensor logp = log_softmax_reference(logits, -1);
  Tensor losses = squeeze(gather(logp, logits.rank() - 1, unsqueeze(safe, -1)), -1) * (e - 1);
  if (e > 0) losses = losses - mean(logp, {-1}) * e;
  losses = where(ignored, 0.0, losses);
  if (options.reduction == Reduction::none) return losses;
  Tensor total = sum(losses);
  if (options.reduction == Reduction::sum) return total;
  Tensor count = sum(where(ignored, logits.new_zeros(target.shape()), 1.0));
  return total / maximum(count, logits.new_ones({}));
}

}  // namespace heed
