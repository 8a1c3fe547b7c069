#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/models/attention_maps.h>
#include <heed/tests/models/small_models.h>

using namespace heed;
using namespace heed::test;

TEST_CASE("transformer: the tiny preset with one matrix of 9,000 has 2,477,056 parameters") {
  models::TransformerConfig c = models::transformer_preset("tiny");
  c.vocab = 9000;
  models::Transformer model(c);
  REQUIRE(model.parameter_count() == 2477056);
  REQUIRE(model.state_dict().count("embedding.weight") == 1);
  REQUIRE(model.state_dict().count("encoder.norm.weight") == 0);

  models::TransformerConfig untied = c;
  untied.tied = false;
  REQUIRE(models::Transformer(untied).parameter_count() == 2477056 + 2 * 9000 * 128);
  models::TransformerConfig pre = c;
  pre.layer.norm_first = true;  // two final norms
  REQUIRE(models::Transformer(pre).parameter_count() == 2477056 + 4 * 128);
}

TEST_CASE("transformer: presets as in Vaswani et al. 2017") {
  models::TransformerConfig base = models::transformer_preset("base"),
                            big = models::transformer_preset("big");
  REQUIRE((base.layer.width == 512 && base.layer.hidden == 2048 &&
           base.layer.attention.heads == 8 && base.encoder_layers == 6));
  REQUIRE((big.layer.width == 1024 && big.layer.hidden == 4096 && big.layer.attention.heads == 16 &&
           big.decoder_layers == 6));
  REQUIRE_THROWS_SAYING(models::transformer_preset("huge"), ValueError, "tiny, base or big");
}

TEST_CASE("transformer: an untrained model knows nothing; the same seed gives the same loss") {
  auto batch = make_batch(4, 9, 24, 5);
  auto first_loss = [&] {
    manual_seed(11);
    models::Transformer model(small_config());
    return model.loss(batch, 0.1).item();
  };
  double loss = first_loss();
  REQUIRE(loss > 0.8 * std::log(24));
  REQUIRE(loss < 2.5 * std::log(24));
  REQUIRE(first_loss() == loss);
}

TEST_CASE("transformer: overfits one batch, in every form") {
  auto batch = make_batch(4, 7, 24, 3);
  for (int form = 0; form < 3; ++form) {
    models::TransformerConfig c = small_config();
    c.layer.norm_first = form == 1;
    c.tied = form != 2;
    manual_seed(1);
    models::Transformer model(c);
    double loss = overfit(model, 160, 5e-3, [&] { return model.loss(batch); });
    INFO("form " << form);
    REQUIRE(loss < 0.01);
  }
}

TEST_CASE("transformer: golden losses of the first steps") {
  auto losses = [] {
    models::TransformerConfig c = small_config();
    c.layer.dropout = 0.1;
    manual_seed(4);
    models::Transformer model(c);
    train::Adam optimizer(model.named_parameters());
    std::vector<double> list;
    for (uint64_t i = 0; i < 5; ++i) {
      Tensor loss = model.loss(make_batch(4, 9, 24, 100 + i), 0.1);
      loss.backward();
      optimizer.step(1e-3);
      optimizer.zero_grad();
      list.push_back(loss.item());
    }
    return list;
  };
  std::vector<double> first = losses();
  REQUIRE(first == losses());
  // To the bit on one machine; close to these on all.
  const double golden[] = {3.5144045, 3.6215591, 3.1415884, 3.4073210, 3.3862298};
  for (size_t i = 0; i < first.size(); ++i) CHECK(first[i] == Approx(golden[i]).epsilon(1e-4));
}

TEST_CASE("transformer: padding changes nothing") {
  manual_seed(2);
  models::Transformer model(small_config());
  model.eval();
  NoGrad guard;
  auto batch = make_batch(3, 9, 24, 8);
  models::Memory memory = model.encode(batch.source, batch.source_lengths);
  Tensor y = model.decode(batch.target_in, memory);
  for (int64_t b = 0; b < 3; ++b) {
    int64_t length = batch.source_lengths[b];
    Tensor source = batch.source.slice(0, b, b + 1).slice(1, 0, length);
    models::Memory alone = model.encode(source, {length});
    Tensor target = batch.target_in.slice(0, b, b + 1).slice(1, 0, length + 1);
    REQUIRE(largest_difference(model.decode(target, alone)[0], y[b].slice(0, 0, length + 1)) <
            2e-5);
  }
}

TEST_CASE("transformer: state dict round trip") {
  manual_seed(1);
  models::Transformer a(small_config()), b(small_config());
  auto batch = make_batch(2, 6, 24, 1);
  REQUIRE(a.loss(batch).item() != b.loss(batch).item());
  b.load_state_dict(a.state_dict());
  REQUIRE(a.loss(batch).item() == b.loss(batch).item());

  models::TransformerConfig other = small_config();
  other.layer.hidden = 64;
  models::Transformer wider(other);
  REQUIRE_THROWS_SAYING(wider.load_state_dict(a.state_dict()), ValueError, "linear1.weight");
}

TEST_CASE("transformer: attention maps are the weights of each layer") {
  for (bool pre : {false, true}) {
    models::TransformerConfig c = small_config();
    c.layer.norm_first = pre;
    models::Transformer model(c);
    auto batch = make_batch(2, 6, 24, 1);
    REQUIRE_THROWS_SAYING(
        models::attention_maps(model, batch.source, batch.source_lengths, batch.target_in),
        ValueError, "training mode");
    model.eval();
    auto maps = models::attention_maps(model, batch.source, batch.source_lengths, batch.target_in);
    REQUIRE((maps.encoder.size() == 2 && maps.decoder.size() == 2 && maps.cross.size() == 2));
    REQUIRE(maps.encoder[1].shape() == Shape{2, 2, 6, 6});
    REQUIRE(maps.cross[1].shape() == Shape{2, 2, 7, 6});
    REQUIRE(maps.decoder[0][0][0][0].to_vector()[1] == 0);  // causal
    for (const Tensor& map : {maps.decoder[1], maps.cross[1]})
      for (int64_t i = 0; i < 7; ++i) {
        double total = 0;
        for (double w : map[0][1][i].to_vector()) total += w;
        REQUIRE(total == Approx(1).epsilon(1e-5));
      }
    // The first decoder layer, by hand.
    NoGrad guard;
    const nn::TransformerDecoderLayer& layer = model.decoder().layer(0);
    models::Memory memory = model.encode(batch.source, batch.source_lengths);
    Tensor y = model.embed_target(batch.target_in), in = pre ? layer.norm1.forward(y) : y;
    REQUIRE(largest_difference(maps.decoder[0], layer.self_attn.weights(in, in)) < 1e-6);
    Tensor sum = y + layer.self_attn.forward(in);
    Tensor query = pre ? layer.norm2.forward(sum) : layer.norm1.forward(sum);
    Tensor cross = layer.multihead_attn.weights(query, memory.states, memory.mask);
    REQUIRE(largest_difference(maps.cross[0], cross) < 1e-6);
  }
}

TEST_CASE("transformer: settings as JSON, there and back") {
  models::TransformerConfig c = small_config();
  c.layer.attention.dropout = 0.05;
  c.layer.norm_first = true;
  c.layer.attention.variant = "dense";
  models::TransformerConfig d = models::transformer_from_json(models::to_json(c));
  REQUIRE(models::to_json(d) == models::to_json(c));
  REQUIRE(d.layer.attention.dropout == 0.05);
  REQUIRE_FALSE(models::transformer_from_json(models::to_json(small_config()))
                    .layer.attention.dropout.has_value());

  REQUIRE_THROWS_SAYING(models::transformer_from_json("[1]"), ValueError, "object");
  REQUIRE_THROWS_SAYING(models::transformer_from_json("{}"), ValueError, "\"model\" is missing");
  REQUIRE_THROWS_SAYING(models::transformer_from_json(R"({"model": "language_model"})"), ValueError,
                        "'transformer' expected, this is one of 'language_model'");
  REQUIRE_THROWS_SAYING(models::transformer_from_json(R"({"model": "transformer"})"), ValueError,
                        "\"vocab\" is missing");
  std::string text = models::to_json(c);
  auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    return changed.replace(changed.find(from), from.size(), to);
  };
  REQUIRE_THROWS_SAYING(models::transformer_from_json(with("\"width\": 32", "\"width\": \"wide\"")),
                        ValueError, "width: an integer expected");
  REQUIRE_THROWS_SAYING(models::transformer_from_json(with("\"width\"", "\"size\": 3, \"width\"")),
                        ValueError, "no setting \"size\"");
}

TEST_CASE("transformer: bad settings are refused at once") {
  auto refuses = [](auto change, const std::string& part) {
    models::TransformerConfig c = small_config();
    change(c);
    REQUIRE_THROWS_SAYING(models::Transformer(c), ValueError, part);
  };
  using C = models::TransformerConfig;
  refuses([](C& c) { c.vocab = 0; }, "vocab > 0");
  refuses([](C& c) { c.layer.attention.heads = 5; }, "not a multiple of 5 heads");
  refuses([](C& c) { c.layer.attention.causal = true; }, "for the decoder alone");
  refuses([](C& c) { c.encoder_layers = 0; }, "at least one layer");
  refuses([](C& c) { c.layer.dropout = 1; }, "0 <= dropout < 1");
  refuses([](C& c) { c.layer.attention.dropout = -0.1; }, "attention dropout");
  refuses([](C& c) { c.vocab = 3; }, "id 3 outside the vocabulary");
  refuses([](C& c) { c.layer.attention.variant = "nonesuch"; }, "nonesuch");
  refuses([](C& c) { c.decoder_variant = "dense:size=3"; }, "size");
  refuses([](C& c) { c.layer.activation = "sine"; }, "sine");

  models::Transformer model(small_config());
  REQUIRE_THROWS_AS(model.encode(zeros({3}, DType::i64), {3}), ShapeError);
  auto batch = make_batch(2, 6, 24, 1);
  REQUIRE_THROWS_AS(model.encode(batch.source + 30.0, batch.source_lengths), ValueError);
}
