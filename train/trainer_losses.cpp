// The losses of an update: how much each batch counts, and the sums for the log.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/train/trainer_loop.h>

namespace heed::train {

namespace {
using Weights = std::vector<std::vector<double>>;

// The part of each batch in its term's mean over the update: w_i / sum w.
Weights shares_of(Weights weights) {
  for (size_t term = 0; !weights.empty() && term < weights[0].size(); ++term) {
    double sum = 0;
    for (const auto& batch : weights) sum += batch[term];
    for (auto& batch : weights) batch[term] = sum > 0 ? batch[term] / sum : 0;
  }
  return weights;
}

void check(const StepResult& step) {
  auto fail = [](const std::string& got) {
    throw ShapeError(str("trainer: task.step must return a loss of one element, got ", got));
  };
  if (step.terms.empty()) fail("none");
  for (const LossTerm& term : step.terms) {
    if (!term.loss.defined()) fail("an undefined tensor");
    if (term.loss.numel() != 1) fail(to_string(term.loss.shape()));
  }
}
}  // namespace

// Empty where the task does not say.
Trainer::Loop::Weights Trainer::Loop::weights_of(const Update& update) const {
  Weights weights;
  for (int64_t i = 0; task.weights && i < update.batches; ++i) {
    weights.push_back(task.weights(update.epoch, update.batch + i));
    bool good = !weights.back().empty() && weights.back().size() == weights[0].size();
    for (double weight : weights.back()) good = good && weight >= 0 && std::isfinite(weight);
    if (!good)
      throw ValueError(str("trainer: task.weights of epoch ", update.epoch, ", batch ",
                           update.batch + i,
                           ": a finite number of at least 0 for each term of the loss expected"));
  }
  return weights;
}

const Tensor& Trainer::Loop::cotangent_for(const Tensor& loss, double value) {
  if (!cotangent.defined() || cotangent.dtype() != loss.dtype() ||
      cotangent.shape() != loss.shape() || !(cotangent.device() == loss.device()) ||
      cotangent_value != value) {
    cotangent = loss.new_full(loss.shape(), value);
    cotangent_value = value;
  }
  return cotangent;
}

// Adds the gradients of a batch's share in the update. Returns that share of the loss, f64 [].
Tensor Trainer::Loop::backward(const StepResult& step, const std::vector<double>& shares) {
  if (step.terms.size() == 1) {
    step.terms[0].loss.backward(cotangent_for(step.terms[0].loss, shares[0]));
  } else {  // at once: the terms share most of their graph
    Tensor sum;
    for (size_t i = 0; i < step.terms.size(); ++i) {
      Tensor part = step.terms[i].loss.reshape({}) * shares[i];
      sum = sum.defined() ? sum + part : part;
    }
    sum.backward();
  }
  NoGrad guard;
  Tensor total;
  for (size_t i = 0; i < step.terms.size(); ++i) {
    Tensor part = step.terms[i].loss.detach().reshape({}).to(DType::f64) * shares[i];
    total = total.defined() ? total + part : part;
  }
  return total;
}

// The gradients of an update's batches, and its loss in last_loss. Returns what the steps gave,
// without their graphs.
std::vector<StepResult> Trainer::Loop::gradients(const Update& update, const Weights& weights) try {
  Weights shares = shares_of(weights);
  std::vector<StepResult> steps;
  Tensor total;
  for (int64_t i = 0; i < update.batches; ++i) {
    StepResult step = task.step(update.epoch, update.batch + i);
    check(step);
    std::vector<double> equal(step.terms.size(), 1.0 / static_cast<double>(update.batches));
    const std::vector<double>& share = task.weights ? shares[static_cast<size_t>(i)] : equal;
    if (share.size() != step.terms.size())
      throw ValueError(
          str("trainer: ", share.size(), " weights for ", step.terms.size(), " terms of the loss"));
    Tensor part = backward(step, share);
    NoGrad guard;
    total = i == 0 ? part : total + part;
    for (LossTerm& term : step.terms) term.loss = term.loss.detach();
    steps.push_back(std::move(step));
  }
  last_loss = total;
  return steps;
} catch (...) {
  running.undo();  // an update that does not come to its end changes nothing
  throw;
}

// Adds a batch to the sums for the next log line and the next evaluation. No weights: its tokens.
void Trainer::Loop::add_up(const StepResult& step, const std::vector<double>& weights) {
  NoGrad guard;
  for (size_t i = 0; i < step.terms.size(); ++i) {
    const auto& [name, loss] = step.terms[i];
    double weight = weights.empty() ? static_cast<double>(step.tokens) : weights[i];
    Tensor weighted = loss.reshape({}).to(DType::f64) * weight;
    auto add = [&](Tensor& total, LossSum& known) {
      total = total.defined() ? total + weighted : weighted + known.sum;
      known.weight += weight;
    };
    TermSums& sum = sums[name];
    add(sum.window, state.window_loss[name]);
    add(sum.train, state.train_loss[name]);
  }
  state.tokens += step.tokens;
  state.window_tokens += step.tokens;
}

}  // namespace heed::train
