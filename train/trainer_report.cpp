#include <heed/train/trainer_loop.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <heed/autograd/ops/range_flag.h>
#include <heed/core/memory.h>
#include <heed/train/evaluation_mode.h>

namespace heed::train {

std::string to_string(StopReason reason) {
  switch (reason) {
    case StopReason::epochs: return "epochs";
    case StopReason::max_steps: return "max_steps";
    case StopReason::minutes: return "minutes";
    case StopReason::patience: return "patience";
    case StopReason::interrupted: return "interrupted";
  }
  return "?";
}

void Trainer::Loop::log_window() {
  look();
  double tokens = static_cast<double>(std::max<int64_t>(state.window_tokens, 1));
  MetricLog::Fields fields{{"kind", "train"},
                           {"step", state.step},
                           {"epoch", state.epoch},
                           {"loss", mean_loss(state.window_loss)}};
  if (state.window_loss.size() > 1)
    for (const auto& [name, term] : state.window_loss)
      fields.push_back({"loss_" + name, term.mean()});
  double rate = window_seconds > 0 ? tokens / window_seconds : 0.0;
  fields.insert(fields.end(), {{"lr", optimizer.learning_rate()},
                               {"grad_norm", gradient_norm},
                               {config.unit_name, state.tokens},
                               {config.unit_name + "_per_second", rate},
                               {"seconds", seconds()}});
  log.write(fields);
  state.window_loss.clear();
  for (auto& [name, sum] : sums) sum.window = Tensor();
  state.window_tokens = state.window_steps = 0;
  window_seconds = 0;
}

// Asks for the metric, and saves it with whether it is the best so far.
void Trainer::Loop::evaluate() {
  look();
  double metric;
  {
    EvaluationMode scope(model);
    metric = task.evaluate();
  }
  refuse_out_of_range("training: evaluation", optimizer.device());
  evaluated_step = state.step;
  state.evaluation_due = false;
  unsaved = true;
  bool better =
      std::isfinite(metric) &&
      (!state.best || (task.higher_is_better ? metric > *state.best : metric < *state.best));
  if (better) {
    state.best = metric;
    state.best_step = state.step;
    state.stale_evaluations = 0;
  } else {
    ++state.stale_evaluations;
  }
  result.last_metric = metric;
  MetricLog::Fields fields{{"kind", "eval"},
                           {"step", state.step},
                           {"epoch", state.epoch},
                           {config.metric_name, metric},
                           {"peak_bytes", memory_stats(optimizer.device()).peak_bytes},
                           {"seconds", seconds()}};
  if (state.best)
    fields.insert(fields.end() - 1, {{"best", *state.best}, {"best_step", state.best_step}});
  log.write(fields);
  progress.line(fmt::format("step {}  {} {:.4g}{}", state.step, config.metric_name, metric,
                            better ? "  (best)" : ""));
  if (task.on_evaluate)
    if (std::string text = task.on_evaluate(state, metric); !text.empty()) progress.line(text);
  state.train_loss.clear();
  for (auto& [name, sum] : sums) sum.train = Tensor();
  if (store && saved_step == state.step) {
    state.seconds = seconds();
    store->update(state, better);
    unsaved = false;
  } else if (better) {
    save(true);
  }
}

// How far the run is, by the limit that comes first.
double Trainer::Loop::fraction(int64_t epoch_batches) const {
  auto part = [](double done, double limit) { return limit > 0 ? done / limit : 0; };
  double epochs = static_cast<double>(state.epoch) +
                  static_cast<double>(state.batch) / static_cast<double>(epoch_batches);
  return std::max({part(epochs, static_cast<double>(config.epochs)),
                   part(seconds(), 60 * config.minutes),
                   part(static_cast<double>(state.step), static_cast<double>(config.max_steps))});
}

void Trainer::Loop::show(int64_t epoch_batches) {
  if (!progress.due()) return;
  double done = fraction(epoch_batches);
  if (earlier_fraction < 0) earlier_fraction = earlier_seconds > 0 ? done : 0;
  double tokens = static_cast<double>(state.window_tokens);
  // Only the CPU's loss is known at each update; asking another device here would make it wait.
  double loss = tokens > 0 && unseen.empty() ? mean_loss(state.window_loss) : result.loss;
  std::string text = fmt::format("epoch {}  step {}  loss {:.4g}  lr {:.2g}", state.epoch + 1,
                                 state.step, loss, optimizer.learning_rate());
  if (window_seconds > 0)
    text += fmt::format("  {} {}/s", format_count(tokens / window_seconds), config.unit);
  if (double gained = done - earlier_fraction; gained > 0)
    text += fmt::format("  {} left", format_duration(since(started) * (1 - done) / gained));
  progress.update(static_cast<int64_t>(done * 1000), 1000, text);
}

}  // namespace heed::train
