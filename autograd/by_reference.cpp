#include <heed/autograd/by_reference.h>

#include <algorithm>
#include <limits>

#include <heed/autograd/engine.h>

namespace heed::detail {

std::vector<Tensor> aliases(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) out.push_back(t.requires_grad() ? alias(t) : t);
  return out;
}

std::vector<Tensor> saved_inputs(const Vjp& v) {
  std::vector<Tensor> in;
  for (int i = 0; i < v.count(); ++i) {
    if (!v.saved(i)) in.emplace_back();
    else in.push_back(v.needs(i) ? v.input(i) : v.input(i).detach());
  }
  return in;
}

std::vector<Tensor> reference_gradients(const Vjp& v, const std::vector<Tensor>& results,
                                        const std::vector<Tensor>& at) {
  std::vector<GradientTarget> targets;
  std::vector<size_t> which;
  EngineOptions options;
  options.first = std::numeric_limits<uint64_t>::max();
  for (size_t i = 0; i < at.size(); ++i)
    if (at[i].requires_grad()) {
      targets.push_back({at[i].node().get(), at[i].output()});
      options.first = std::min(options.first, at[i].node()->sequence);
      which.push_back(i);
    }
  std::vector<Tensor> cotangents;
  for (size_t k = 0; k < results.size(); ++k)
    cotangents.push_back(v.cotangent(static_cast<int>(k)));
  options.create_graph = v.create_graph();
  options.nested = true;
  std::vector<Tensor> found = run_backward(results, cotangents, &targets, options);
  std::vector<Tensor> gradients(at.size());
  for (size_t t = 0; t < which.size(); ++t) {
    const Tensor& x = at[which[t]];
    gradients[which[t]] = found[t].defined() ? found[t] : x.new_zeros(x.shape());
  }
  return gradients;
}

void add_all(Vjp& v, const std::vector<Tensor>& gradients) {
  for (size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i].defined()) v.add(static_cast<int>(i), gradients[i]);
}

}  // namespace heed::detail
