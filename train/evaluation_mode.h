// A scope in which a model is evaluated: eval mode, no gradients, and no trace afterwards. Each
// module gets its own mode back (one that was frozen in eval mode stays so), and so does the
// default generator: how often a model is evaluated does not change how it is trained.
#pragma once

#include <utility>
#include <vector>

#include <heed/autograd/grad_mode.h>
#include <heed/core/random.h>
#include <heed/nn/module.h>

namespace heed::train {

class EvaluationMode {
 public:
  explicit EvaluationMode(nn::Module& model)
      : random_{default_generator().seed(), default_generator().offset()} {
    remember(model);
    model.eval();
  }
  ~EvaluationMode() {
    // Parents come first: train() sets a whole subtree, which its children then correct.
    for (auto [module, training] : modes_) module->train(training);
    default_generator().set_state(random_.seed, random_.offset);
  }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  void remember(nn::Module& module) {
    modes_.emplace_back(&module, module.is_training());
    for (const auto& [name, child] : module.children()) remember(*child);
  }
  NoGrad no_grad_;
  RandomKey random_;
  std::vector<std::pair<nn::Module*, bool>> modes_;
};

}  // namespace heed::train
