// Mutants prove that gradient checks can fail: one gradient of one op is falsified at run time, and
// the check of that op's OpCase has to notice. Tagged [.full]: they run in `./dev test full`.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/opcase.h>

using namespace heed;
using namespace heed::test;

namespace {

enum class Fault { negate, scale, drop, shift, swap };
const char* const kFaultNames[] = {"negate", "scale", "drop", "shift", "swap"};

struct Mutant {
  const char* function;  // whose OpCase has to fail
  const char* node;      // the op on the tape
  int input;
  Fault fault;
  double factor = 1.01;  // of scale
};

Mutant current;
int64_t applied = 0;

// shift: every element moves one place; swap: the first and the last change places.
Tensor falsified(const Tensor& g) {
  int64_t n = g.numel();
  Tensor flat = g.reshape({n});
  Tensor out;
  switch (current.fault) {
    case Fault::negate: return -g;
    case Fault::scale: return g * current.factor;
    case Fault::drop: return g * 0.0;
    case Fault::shift: out = concat({flat.slice(0, 1, n), flat.slice(0, 0, 1)}, 0); break;
    case Fault::swap:
      out = concat({flat.slice(0, n - 1, n), flat.slice(0, 1, n - 1), flat.slice(0, 0, 1)}, 0);
      break;
  }
  return out.reshape(g.shape());
}

bool inside = false;  // the ops of `falsified` are not to be falsified themselves

Tensor hook(const char* op, int input, const Tensor& gradient) {
  bool hit =
      !inside && input == current.input && std::string(op) == current.node && gradient.numel() > 0;
  if (!hit ||
      ((current.fault == Fault::shift || current.fault == Fault::swap) && gradient.numel() < 2))
    return gradient;
  inside = true;
  ++applied;
  Tensor out = falsified(gradient);
  inside = false;
  return out;
}

const std::vector<Mutant> kMutants = {
    {"neg", "affine", 0, Fault::negate},
    {"mul", "mul", 0, Fault::scale},
    {"mul", "mul", 1, Fault::swap},
    {"add", "add", 1, Fault::drop},
    {"sub", "sub", 1, Fault::negate},
    {"div", "div", 0, Fault::scale},
    {"div", "div", 1, Fault::negate},
    {"exp", "exp", 0, Fault::scale},
    {"log", "log", 0, Fault::shift},
    {"tanh", "tanh", 0, Fault::scale},
    {"gelu", "gelu", 0, Fault::scale},
    {"sigmoid", "sigmoid", 0, Fault::drop},
    {"relu", "relu", 0, Fault::shift},
    {"where", "where", 1, Fault::scale},
    {"where", "where", 2, Fault::negate},
    {"maximum", "maximum", 0, Fault::scale, 2},
    {"minimum", "minimum", 1, Fault::drop},
    {"sum", "sum", 0, Fault::scale},
    {"var", "square", 0, Fault::scale, 2},
    {"cumsum", "cumsum", 0, Fault::shift},
    {"max", "gather", 0, Fault::shift},
    {"matmul", "matmul", 0, Fault::swap},
    {"matmul", "matmul", 1, Fault::scale},
    {"linear", "linear", 1, Fault::negate},
    {"linear", "linear", 2, Fault::scale, 2},
    {"reshape", "reshape", 0, Fault::shift},
    {"permute", "permute", 0, Fault::swap},
    {"transpose", "transpose", 0, Fault::shift},
    {"slice", "slice", 0, Fault::shift},
    {"select", "select", 0, Fault::shift},
    {"concat", "concat", 1, Fault::scale},
    {"concat", "concat", 2, Fault::drop},
    {"pad", "pad", 0, Fault::shift},
    {"flip", "flip", 0, Fault::swap},
    {"broadcast_to", "broadcast_to", 0, Fault::scale},
    {"index_select", "index_select", 0, Fault::shift},
    {"gather", "gather", 0, Fault::swap},
    {"scatter_add", "scatter_add", 2, Fault::shift},
    {"scatter_add", "scatter_add", 0, Fault::scale},
    {"embedding", "embedding", 0, Fault::shift},
    {"softmax", "softmax", 0, Fault::scale},
    {"softmax", "softmax", 0, Fault::swap},
    {"log_softmax", "log_softmax", 0, Fault::negate},
    {"layer_norm", "layer_norm", 0, Fault::scale},
    {"layer_norm", "layer_norm", 1, Fault::shift},
    {"layer_norm", "layer_norm", 2, Fault::drop},
    {"rms_norm", "rms_norm", 0, Fault::scale},
    {"add_layer_norm", "add_layer_norm", 0, Fault::swap},
    {"add_layer_norm", "add_layer_norm", 1, Fault::scale},
    {"add_layer_norm", "add_layer_norm", 2, Fault::shift},
    {"add_layer_norm", "add_layer_norm", 3, Fault::drop},
    {"conv1d", "conv", 0, Fault::scale},
    {"conv2d", "conv", 0, Fault::shift},
    {"conv2d", "conv", 1, Fault::swap},
    {"conv2d", "conv", 2, Fault::drop},
    {"conv3d", "conv", 1, Fault::negate},
    {"batch_norm_training", "batch_norm_training", 0, Fault::scale},
    {"batch_norm_training", "batch_norm_training", 1, Fault::swap},
    {"batch_norm_training", "batch_norm_training", 2, Fault::drop},
    {"batch_norm_training", "batch_norm_training", 3, Fault::shift},
    {"batch_norm", "batch_norm", 0, Fault::shift},
    {"batch_norm", "batch_norm", 5, Fault::negate},
    {"group_norm", "group_norm", 0, Fault::scale},
    {"group_norm", "group_norm", 1, Fault::swap},
    {"sort", "sort", 0, Fault::shift},
    {"topk", "topk", 0, Fault::swap},
    {"low_rank_logits", "low_rank_logits", 0, Fault::scale},
    {"low_rank_logits", "low_rank_logits", 1, Fault::negate},
    {"dropout", "dropout", 0, Fault::scale},
    {"cross_entropy", "cross_entropy", 0, Fault::scale},
    {"linear_cross_entropy", "linear_cross_entropy", 1, Fault::swap},
    {"max_pool1d", "max_pool1d", 0, Fault::shift},
    {"max_pool2d", "max_pool2d", 0, Fault::scale},
    {"adaptive_max_pool3d", "adaptive_max_pool3d", 0, Fault::swap},
    {"avg_pool2d", "avg_pool2d", 0, Fault::scale},
    {"adaptive_avg_pool2d", "adaptive_avg_pool2d", 0, Fault::shift},
    {"interpolate", "interpolate", 0, Fault::swap},
    {"fused_attention", "attention", 0, Fault::scale},
    {"fused_attention", "attention", 1, Fault::swap},
    {"fused_attention", "attention", 2, Fault::negate},
    {"fused_attention_parts", "attention", 0, Fault::negate},
    {"fused_attention_parts", "attention", 1, Fault::scale},
    {"fused_attention_parts", "attention", 2, Fault::swap},
    {"pairwise_relu", "pairwise_relu", 0, Fault::scale},
    {"pairwise_relu", "pairwise_relu", 1, Fault::swap},
    {"pairwise_relu", "pairwise_relu", 2, Fault::negate},
};

// Fails by a wrong gradient, or is not noticed. All cases of the function count together.
bool caught(const Mutant& mutant) {
  current = mutant;
  applied = 0;
  bool failed = false;
  set_cotangent_hook(hook);
  for (const OpCase& c : all_cases()) {
    if (c.op != mutant.function || c.custom || failed) continue;
    try {
      GradcheckResult r = gradcheck_of(c);
      failed = r.checked > 0 && !r.passed;
    } catch (...) {
      set_cotangent_hook(nullptr);
      throw;
    }
  }
  set_cotangent_hook(nullptr);
  return failed;
}

}  // namespace

TEST_CASE("mutants of gradients are caught", "[.full][mutant]") {
  REQUIRE(kMutants.size() >= 30);
  for (const Mutant& m : kMutants) {
    INFO(m.function << ": " << kFaultNames[static_cast<int>(m.fault)] << " gradient " << m.input
                    << " of " << m.node);
    CHECK(caught(m));
    CHECK(applied > 0);
  }
}

TEST_CASE("without a mutant the same cases pass", "[.full][mutant]") {
  for (const OpCase& c : all_cases()) {
    if (c.custom) continue;
    INFO(c.op << " " << c.label);
    CHECK(gradcheck_of(c).passed);
  }
}
