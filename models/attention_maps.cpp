#include <heed/models/attention_maps.h>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention_recorder.h>

namespace heed::models {

static void require_eval(const nn::Module& model) {
  if (model.is_training())
    throw ValueError("attention_maps: the model is in training mode: call eval() before");
}

AttentionMaps attention_maps(const Transformer& model, const Tensor& source, const Lengths& lengths,
                             const Tensor& target_in) {
  require_eval(model);
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

std::vector<Tensor> attention_maps(const ViT& model, const Tensor& images) {
  require_eval(model);
  NoGrad guard;
  nn::AttentionRecorder recorder;
  model.states(images);
  std::vector<Tensor> maps;
  for (int64_t i = 0; i < model.encoder().size(); ++i)
    if (Tensor map = recorder.weights(model.encoder().layer(i).self_attn); map.defined())
      maps.push_back(map);
  return maps;
}

Tensor patch_weights(const ViT& model, const Tensor& map, int64_t token) {
  int64_t tokens = model.tokens();
  if (map.rank() != 4 || map.dim(2) != tokens || map.dim(3) != tokens)
    throw ShapeError(
        str("patch_weights: a map [B, H, ", tokens, ", ", tokens, "] expected, got ", map.shape()));
  if (token < 0 || token >= tokens)
    throw ValueError(str("patch_weights: token ", token, " of ", tokens));
  Tensor row = select(map, 2, token).slice(2, model.first_patch(), tokens);  // [B, H, N]
  return row.reshape({map.dim(0), map.dim(1), model.grid().rows, model.grid().columns});
}

SlotWeights slot_weights(const ResNet& model, const Tensor& images, int64_t slot,
                         const std::vector<int64_t>& positions) {
  require_eval(model);
  NoGrad guard;
  const nn::NonLocalBlock& block = model.slot(slot);
  Tensor x = model.slot_input(images, slot);           // [B, C, ..]
  SlotWeights found{block.weights(x, positions), {}};  // [B, H, P, S]
  found.map = Shape(x.shape().begin() + 2, x.rank() - 2);
  Shape shape(found.weights.shape().begin(), 3);
  for (int64_t size : block.key_extents(found.map)) shape.push_back(size);
  found.weights = found.weights.reshape(shape);  // [B, H, P, ..]
  return found;
}

int64_t slot_position(const ResNet& model, int64_t slot, const Shape& picture, const Shape& pixel) {
  const Shape map = model.slot_extents(slot, picture);
  int64_t position = 0;
  for (int i = 0; i < map.rank(); ++i) {
    if (pixel.rank() != map.rank() || pixel[i] < 0 || pixel[i] >= picture[i])
      throw ValueError(str("slot_position: pixel ", pixel, " of a picture ", picture));
    position = position * map[i] + pixel[i] * map[i] / picture[i];
  }
  return position;
}

}  // namespace heed::models
