// The learning rate as a pure function of the step (1 = the first update), so that a run that goes
// on after a stop has nothing to restore.
//
//   Schedule s = parse_schedule("inverse_sqrt:warmup=1000", 0.005);
//   s(1000);        // 0.005, the peak
//   to_string(s);   // "inverse_sqrt:lr=0.005,warmup=1000"
//
//   constant:warmup=0                  lr
//   inverse_sqrt:warmup=4000           lr sqrt(warmup / step)  (Vaswani et al. 2017, by the peak)
//   cosine:steps=N,warmup=0,min=0      min + (lr - min) (1 + cos(pi x)) / 2,
//                                      x from 0 to 1 between warmup and steps; min after that
//   step:every=N,factor=0.1,warmup=0   lr factor^floor((step - 1) / every)
//
// During warm-up (step < warmup) all of them are lr step / warmup.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace heed::train {

struct Schedule {
  enum class Kind { constant, inverse_sqrt, cosine, step };
  Kind kind = Kind::constant;
  double lr = 1e-3;     // the peak
  int64_t warmup = 0;   // steps
  int64_t steps = 0;    // cosine: where it ends
  double min = 0;       // cosine: where to
  int64_t every = 0;    // step: updates from one fall to the next
  double factor = 0.1;  // step: what lr is multiplied by at each fall

  double operator()(int64_t step) const;  // step >= 1
};

Schedule constant_schedule(double lr, int64_t warmup = 0);
Schedule inverse_sqrt_schedule(double lr, int64_t warmup = 4000);
Schedule cosine_schedule(double lr, int64_t steps, int64_t warmup = 0, double min = 0);
Schedule step_schedule(double lr, int64_t every, double factor = 0.1, int64_t warmup = 0);

// `lr` is the peak unless the spec has `lr=`. ValueError lists names and options.
Schedule parse_schedule(std::string_view spec, double lr);
std::string to_string(const Schedule& schedule);  // a spec that parses back to the same

}  // namespace heed::train
