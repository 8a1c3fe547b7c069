// A small vision transformer: it cuts a picture into patches, reads them as a sentence, and learns
// a question that no patch alone can answer. About a minute on two cores.
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <heed/heed.h>

#include "common/program.h"

using namespace heed;

// Two shapes, one at the left end of the picture, one at the right. The classes of the set say what
// they agree in: kind, colour, both, neither. In a minute this model learns colours, but not kinds
// (asked for all four classes it comes to 50 %), so the question here is: are both of one colour?
Tensor same_colour(const std::vector<int64_t>& classes) {
  std::vector<int64_t> answers;
  for (int64_t c : classes) answers.push_back(c == 1 || c == 2 ? 1 : 0);
  return Tensor::from(answers, {static_cast<int64_t>(answers.size())});  // i64 [B]
}

double accuracy(models::ViT& model, const data::ImageBatches& batches) {
  train::EvaluationMode mode(model);
  double right = 0;
  for (int64_t i = 0; i < batches.count(0); ++i) {
    data::ImageBatch batch = batches.get(0, i);
    Tensor answer = argmax(model.forward(Tensor(batch.images)), 1);  // [B]
    right += sum(equal(answer, same_colour(batch.labels)).to(DType::f32)).item();
  }
  return right / static_cast<double>(batches.set().size());
}

// What the class token attends to in one picture, laid over it: a map for each layer and head.
viz::PicturePanel look(const models::ViT& model, const data::ImageBatches& batches, int64_t i) {
  data::ImageBatch batch = batches.make(std::vector<int64_t>{i}, 0);
  Tensor image(batch.images);                                        // [1, C, H, W]
  double yes = 100 * softmax(model.forward(image), 1)[0][1].item();  // percent
  const data::ImageSet& set = batches.set();
  viz::PicturePanel panel{set.image(i).permute({1, 2, 0}),  // [C, H, W] -> [H, W, C]
                          str("agree in: ", set.class_names()[static_cast<size_t>(set.label(i))]),
                          {str("the model says: same colour, yes ", std::lround(yes), " %, no ",
                               std::lround(100 - yes), " %")}};
  std::vector<Tensor> maps = models::attention_maps(model, image);  // [1, heads, tokens, tokens]
  for (size_t layer = 0; layer < maps.size(); ++layer) {
    Tensor heads = models::patch_weights(model, maps[layer], 0)[0];  // [heads, rows, columns]
    for (int64_t h = 0; h < heads.dim(0); ++h)
      panel.maps.push_back({str("layer ", layer + 1, ", head ", h + 1), heads[h].array()});
  }
  return panel;
}

int main() {
  return examples::run_program("09_vision_transformer", [] {
    manual_seed(1);

    // Pictures of 32 x 32 pixels. No place of shapes in the test part occurs in the training part.
    auto train_set = std::make_shared<data::ShapeImages>(data::ShapeOptions{.count = 8000});
    auto test_set = std::make_shared<data::ShapeImages>(
        data::ShapeOptions{.count = 1000, .part = data::ImagePart::test});
    data::ImageStatistics statistics = data::image_statistics(*train_set);
    data::ImageBatches train(train_set, {.batch = 64, .seed = 1, .statistics = statistics});
    data::ImageBatches test(test_set, {.shuffle = false, .statistics = statistics});

    // Patches of 4 x 4 pixels: 8 x 8 = 64 tokens, and the class token, which asks them all. What it
    // has become after the last layer decides.
    models::ViTConfig config = models::vit_preset("nano");
    config.image_height = config.image_width = 32;
    config.patch = 4;
    config.classes = 2;
    config.stack.layers = 2;
    models::ViT model(config);
    std::printf("%lld tokens a picture, %lld parameters; accuracy before: %.1f %%\n",
                static_cast<long long>(model.tokens()),
                static_cast<long long>(model.parameter_count()), 100 * accuracy(model, test));

    constexpr int64_t kEpochs = 4;
    train::AdamW optimizer(train::decay_matrices(model, {.weight_decay = 0.05}));
    const int64_t steps = kEpochs * train.count(0);
    train::Schedule schedule = train::cosine_schedule(3e-3, steps, 100);
    train::Progress progress;
    for (int64_t step = 1; step <= steps; ++step) {
      int64_t epoch = (step - 1) / train.count(0), index = (step - 1) % train.count(0);
      data::ImageBatch batch = train.get(epoch, index);
      Tensor logits = model.forward(Tensor(batch.images));             // [B, 2]
      Tensor loss = cross_entropy(logits, same_colour(batch.labels));  // log 2 = 0.69: guessed
      loss.backward();
      optimizer.clip_grad_norm(1);
      optimizer.step(schedule(step));
      optimizer.zero_grad();
      progress.update(step, steps, str("step ", step, "  loss ", loss.item()));
      if (auto failed = optimizer.failed_step())
        throw NumericError(str("step ", *failed, ": the gradients are not finite"));
      if (index + 1 == train.count(0))
        std::printf("epoch %lld  accuracy on %lld unseen pictures: %.1f %% (by chance: 50)\n",
                    static_cast<long long>(epoch + 1), static_cast<long long>(test_set->size()),
                    100 * accuracy(model, test));
    }
    progress.finish();

    // Where does it look, in pictures that it never saw? One of each class.
    model.eval();
    NoGrad guard;
    std::vector<viz::PicturePanel> panels;
    for (int64_t i = 0; i < 4; ++i) panels.push_back(look(model, test, i));
    viz::save_picture_page("vision_transformer.html", panels,
                           {.title = "What the class token attends to"});
    std::printf("written: vision_transformer.html\n");
    return 0;
  });
}
