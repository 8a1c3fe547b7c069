// The learning rate as a pure function of the step (1 = the first update), so that a run that goes
// on after a stop has nothing to restore.
//
//   Schedule s = parse_schedule("inverse_sqrt:warmup=1000", 0.005);
//   s(1000);        // 0.005, the peak
//   to_string(s);   // "inverse_sqrt:lr=0.005,warmup=1000"
//
// With p = max(warmup, 1), the first update that has the peak, the rate of update s is
// lr s / warmup before p, and from p on:
//
//   constant:warmup=0                  lr
//   inverse_sqrt:warmup=4000           lr sqrt(p / s)  (Vaswani et al. 2017, by the peak)
//   cosine:steps=N,warmup=0,min=0      min + (lr - min) (1 + cos(pi (s - p) / (N - p + 1))) / 2 up
//                                      to N, the last update of the plan; min after that
//   step:every=N,factor=0.1,warmup=0   lr factor^floor((s - p) / N)
//
//   s                                        1      2      3      4      5      6
//   constant:warmup=3                        1/3    2/3    1      1      1      1
//   inverse_sqrt:warmup=2                    0.5    1      0.816  0.707  0.632  0.577
//   cosine:steps=5                           1      0.905  0.655  0.345  0.095  0
//   cosine:steps=5,warmup=2,min=0.1          0.5    1      0.868  0.55   0.232  0.1
//   step:every=2                             1      1      0.1    0.1    0.01   0.01
//   step:every=2,warmup=3                    1/3    2/3    1      1      0.1    0.1
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
  int64_t steps = 0;    // cosine: its last update
  double min = 0;       // cosine: where to
  int64_t every = 0;    // step: updates from one fall to the next
  double factor = 0.1;  // step: what lr is multiplied by at each fall

  double operator()(int64_t step) const;  // step >= 1
};

Schedule constant_schedule(double lr, int64_t warmup = 0);
Schedule inverse_sqrt_schedule(double lr, int64_t warmup = 4000);
Schedule cosine_schedule(double lr, int64_t steps, int64_t warmup = 0, double min = 0);
Schedule step_schedule(double lr, int64_t every, double factor = 0.1, int64_t warmup = 0);

// What the spec leaves out is as in `defaults`, or its default. ValueError lists names and options.
Schedule parse_schedule(std::string_view spec, double lr);
Schedule parse_schedule(std::string_view spec, const Schedule& defaults);
std::string schedule_names();                     // "constant, inverse_sqrt, cosine, step"
std::string to_string(const Schedule& schedule);  // a spec that parses back to the same

}  // namespace heed::train
