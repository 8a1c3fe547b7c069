#include <heed/train/checkpoint_state.h>

#include <zlib.h>

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <heed/core/error.h>

namespace heed::train {

namespace {
using Json = nlohmann::json;
constexpr int64_t kFormat = 1;
constexpr int64_t kMaxBytes = 16 << 20;

std::string crc_text(std::string_view text) {
  const auto* bytes = reinterpret_cast<const Bytef*>(text.data());
  return fmt::format("{:08x}", ::crc32(0, bytes, static_cast<uInt>(text.size())));
}

// Fields of an object, with their types checked.
class Reader {
 public:
  Reader(const fs::path& file, const Json& object, std::string where)
      : file_(file), object_(object), where_(std::move(where)) {
    if (!object.is_object())
      throw IoError(str(file.string(), ": ", where_, ": an object expected"));
  }
  const Json& at(const char* key) const {
    auto it = object_.find(key);
    if (it == object_.end()) fail(key, "is missing");
    return *it;
  }
  int64_t integer(const char* key) const {  // >= 0
    const Json& value = at(key);
    if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX)
      fail(key, "an integer >= 0 expected");
    return value.get<int64_t>();
  }
  uint64_t bits(const char* key) const {
    if (!at(key).is_number_unsigned()) fail(key, "an integer >= 0 expected");
    return at(key).get<uint64_t>();
  }
  double number(const char* key) const {
    if (!at(key).is_number()) fail(key, "a number expected");
    return at(key).get<double>();
  }
  std::string text(const char* key) const {
    if (!at(key).is_string()) fail(key, "a string expected");
    return at(key).get<std::string>();
  }
  bool boolean(const char* key) const {
    if (!at(key).is_boolean()) fail(key, "true or false expected");
    return at(key).get<bool>();
  }

 private:
  [[noreturn]] void fail(const char* key, const char* what) const {
    throw IoError(str(file_.string(), ": ", where_, key, ": ", what));
  }
  const fs::path& file_;
  const Json& object_;
  std::string where_;
};

// A name in state.json must not lead out of the checkpoint.
bool stays_inside(const fs::path& path) {
  if (path.empty() || path.is_absolute()) return false;
  for (const fs::path& part : path)
    if (part == "..") return false;
  return true;
}

Json as_json(const LossSums& terms) {
  Json out = Json::object();
  for (const auto& [name, term] : terms) out[name] = {{"sum", term.sum}, {"weight", term.weight}};
  return out;
}

LossSums read_loss(const fs::path& file, const Json& object, const std::string& where) {
  Reader(file, object, where);  // checks that it is an object
  LossSums terms;
  for (const auto& [name, value] : object.items()) {
    Reader term(file, value, str(where, ".", name, "."));
    terms[name] = {term.number("sum"), term.number("weight")};
  }
  return terms;
}
}  // namespace

std::string to_json(const StateFile& content) {
  const TrainState& s = content.state;
  Json files = Json::object();
  for (const auto& [name, sum] : content.files)
    files[name] = {{"bytes", sum.bytes}, {"crc32", fmt::format("{:08x}", sum.crc32)}};
  Json state = {
      {"step", s.step},
      {"epoch", s.epoch},
      {"batch", s.batch},
      {"epoch_batches", s.epoch_batches},
      {"rng", {{"seed", s.rng_seed}, {"offset", s.rng_offset}}},
      {"best", s.best ? Json(*s.best) : Json(nullptr)},
      {"best_step", s.best_step},
      {"stale_evaluations", s.stale_evaluations},
      {"evaluation_due", s.evaluation_due},
      {"seconds", s.seconds},
      {"tokens", s.tokens},
      {"window",
       {{"loss", as_json(s.window_loss)}, {"tokens", s.window_tokens}, {"steps", s.window_steps}}},
      {"train_loss", as_json(s.train_loss)},
      {"schedule", s.schedule},
      {"optimizer", content.optimizer},
      {"files", files}};
  Json whole = {{"format", kFormat}, {"crc32", crc_text(state.dump())}, {"state", state}};
  return whole.dump(2) + "\n";
}

StateFile read_state_file(const fs::path& file) {
  std::string text = read_file(file, kMaxBytes);
  Json whole = Json::parse(text, nullptr, false);
  if (whole.is_discarded())
    throw IoError(str(file.string(), ": no valid JSON (", text.size(), " bytes)"));
  Reader outer(file, whole, "");
  if (int64_t format = outer.integer("format"); format != kFormat)
    throw IoError(str(file.string(), ": format ", kFormat, " expected, got ", format));
  const Json& state = outer.at("state");
  Reader in(file, state, "state.");
  std::string crc = crc_text(state.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (outer.text("crc32") != crc)
    throw IoError(str(file.string(), ": changed since it was written: its CRC-32 is ", crc));

  StateFile content;
  TrainState& s = content.state;
  s.step = in.integer("step");
  s.epoch = in.integer("epoch");
  s.batch = in.integer("batch");
  s.epoch_batches = in.integer("epoch_batches");
  Reader rng(file, in.at("rng"), "state.rng.");
  s.rng_seed = rng.bits("seed");
  s.rng_offset = rng.bits("offset");
  if (!in.at("best").is_null()) s.best = in.number("best");
  s.best_step = in.integer("best_step");
  s.stale_evaluations = in.integer("stale_evaluations");
  s.evaluation_due = in.boolean("evaluation_due");
  s.seconds = in.number("seconds");
  s.tokens = in.integer("tokens");
  Reader window(file, in.at("window"), "state.window.");
  s.window_tokens = window.integer("tokens");
  s.window_steps = window.integer("steps");
  if (!window.at("loss").is_number())
    s.window_loss = read_loss(file, window.at("loss"), "state.window.loss");
  else if (s.window_tokens > 0)  // as it was written before losses had terms
    s.window_loss["loss"] = {window.number("loss"), static_cast<double>(s.window_tokens)};
  if (state.contains("train_loss"))
    s.train_loss = read_loss(file, in.at("train_loss"), "state.train_loss");
  if (state.contains("schedule")) s.schedule = in.text("schedule");
  content.optimizer = in.text("optimizer");
  Reader(file, in.at("files"), "state.files");
  for (const auto& [name, value] : in.at("files").items()) {
    if (!stays_inside(name))
      throw IoError(
          str(file.string(), ": state.files: a path inside the checkpoint expected, got ", name));
    Reader sum(file, value, str("state.files.", name, "."));
    uint32_t number = 0;
    std::string hex = sum.text("crc32");
    for (char c : hex) {
      if (!std::isxdigit(static_cast<unsigned char>(c)) || hex.size() != 8)
        throw IoError(
            str(file.string(), ": state.files.", name, ".crc32: 8 hexadecimal digits expected"));
      number = number * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    content.files[name] = {sum.integer("bytes"), number};
  }
  return content;
}

}  // namespace heed::train
