// A small residual network that tests share.
#pragma once

#include <heed/models/resnet.h>
#include <heed/nn/init.h>
#include <heed/tests/models/small_models.h>
#include <heed/tests/nn/golden.h>

namespace heed::test {

// Pictures of two channels; of 7 x 12, maps of [4, 7, 12] and, in the second stage, [8, 4, 6].
inline models::ResNetConfig small_resnet(int64_t slots = 0) {
  models::ResNetConfig c;
  c.channels = 2, c.classes = 3;
  c.blocks = {2, 1}, c.strides = {1, 2};
  c.width = 4;
  c.slots = slots;
  return c;
}

inline models::ResNetConfig small_clips(int64_t slots = 0) {
  models::ResNetConfig c = small_resnet(slots);
  c.axes = 3;
  c.blocks = {1, 1};
  return c;
}

// Norms too, those of slots among them, which start at 0 and would hide what stands before.
inline void randomise(nn::Module& model) {
  for (const auto& [name, t] : model.named_parameters()) nn::init::normal_(t, 0, 0.4);
}

// Values of equal networks, without or with slots: those that both have.
inline void copy_common(const nn::Module& from, nn::Module& to) {
  nn::StateDict state = to.state_dict();
  for (const auto& [name, tensor] : from.state_dict())
    if (state.count(name)) state[name] = tensor;
  to.load_state_dict(state);
}

}  // namespace heed::test
