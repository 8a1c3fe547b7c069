#include <heed/models/attention_maps.h>

#include <heed/autograd/grad_mode.h>
#include <heed/core/error.h>
#include <heed/nn/attention_recorder.h>

namespace heed::models {

AttentionMaps attention_maps(const Transformer& model, const Tensor& source, const Lengths& lengths,
                             const Tensor& target_in) {
  if (model.is_training())
    throw ValueError("attention_maps: the model is in training mode: call eval() before");
  NoGrad guard;
  nn::AttentionRecorder recorder;
  model.decode(target_in, model.encode(source, lengths));
  AttentionMaps maps;
  auto add = [&](std::vector<Tensor>& list, const nn::MultiHeadAttention& attention) {
    if (Tensor map = recorder.weights(attention); map.defined()) list.push_back(map);
  };
  for (int64_t i = 0; i < model.encoder().size(); ++i)
    add(maps.encoder, model.encoder().layer(i).self_attn);
  for (int64_t i = 0; i < model.decoder().size(); ++i) {
    add(maps.decoder, model.decoder().layer(i).self_attn);
    add(maps.cross, model.decoder().layer(i).multihead_attn);
  }
  return maps;
}

}  // namespace heed::models
