// The losses of a run as a picture, from its metric log: of training, at each line of the log, and
// of its evaluations, over the steps.
//
//   save_loss_chart("run/metrics.jsonl", "run/losses.svg", "valid_loss");
#pragma once

#include <string>

namespace heed::train {

// `metric` is the trainer's metric_name. False where the log has no loss yet: nothing is written.
// After a crash the picture is the old or the new one, never a part. IoError.
bool save_loss_chart(const std::string& metrics_file, const std::string& svg_file,
                     const std::string& metric);

}  // namespace heed::train
