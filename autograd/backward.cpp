#include <heed/autograd/backward.h>

#include <heed/autograd/engine.h>

namespace heed {

static std::vector<Tensor> checked_cotangents(const std::vector<Tensor>& outputs,
                                              std::vector<Tensor> cotangents, const char* op) {
  cotangents.resize(outputs.size());
  bool any = false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& y = outputs[i];
    if (!y.defined()) throw GradError(str(op, ": output ", i, " is undefined"));
    any |= y.requires_grad();
    if (!cotangents[i].defined()) {
      if (y.numel() != 1)
        throw GradError(str(op, ": an output of shape ", y.shape(),
                            " needs a cotangent; only one element implies 1"));
      cotangents[i] = y.new_ones(y.shape());
    } else if (!(cotangents[i].shape() == y.shape()) || cotangents[i].dtype() != y.dtype()) {
      throw ShapeError(str(op, ": cotangent ", cotangents[i].shape(), " ", cotangents[i].dtype(),
                           " for an output ", y.shape(), " ", y.dtype()));
    } else if (cotangents[i].device() != y.device()) {
      throw DeviceError(str(op, ": a cotangent on ", to_string(cotangents[i].device()),
                            " for an output on ", to_string(y.device())));
    }
  }
  if (!any) throw GradError(str(op, ": no output requires a gradient"));
  return cotangents;
}

static EngineOptions engine_options(const BackwardOptions& options) {
  return {.retain_graph = options.retain_graph, .create_graph = options.create_graph};
}

void backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents,
              BackwardOptions options) {
  run_backward(outputs, checked_cotangents(outputs, cotangents, "backward"), nullptr,
               engine_options(options));
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& cotangents, BackwardOptions options) {
  std::vector<GradientTarget> targets;
  for (const Tensor& x : inputs) {
    if (!x.requires_grad()) throw GradError("grad: an input does not require a gradient");
    targets.push_back({x.node().get(), x.output()});
  }
  auto results = run_backward(outputs, checked_cotangents(outputs, cotangents, "grad"), &targets,
                              engine_options(options));
  for (size_t i = 0; i < results.size(); ++i)
    if (!results[i].defined() && !options.allow_unused)
      throw GradError(
          str("grad: input ", i, " is not part of the graph; allow_unused accepts that"));
  return results;
}

}  // namespace heed
