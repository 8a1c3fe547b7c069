#include <heed/data/image_info.h>

#include <nlohmann/json.hpp>

#include <heed/core/error.h>
#include <heed/data/lines.h>
#include <heed/data/write_file.h>

namespace heed::data {

namespace {
constexpr int64_t kMostValues = int64_t{1} << 40;  // of an image
using Json = nlohmann::ordered_json;

template <class T>
std::vector<T> read_list(const Json& json, const std::string& file, const char* name) {
  if (!json.contains(name) || !json[name].is_array() || json[name].empty())
    throw IoError(str(file, ": \"", name, "\": a list expected"));
  std::vector<T> out;
  for (const Json& entry : json[name]) {
    bool good = std::is_same_v<T, std::string> ? entry.is_string() : entry.is_number();
    if constexpr (std::is_same_v<T, int64_t>) good = entry.is_number_integer();
    if (!good)
      throw IoError(str(file, ": \"", name, "\": a list of ",
                        std::is_same_v<T, std::string> ? "strings" : "numbers", " expected, got ",
                        entry.dump()));
    out.push_back(entry.get<T>());
  }
  return out;
}
}  // namespace

ImageInfo image_info(const ImageSet& training) {
  return {training.class_names(), training.image_shape(), image_statistics(training)};
}

void save_image_info(const ImageInfo& info, const std::string& file) {
  Json json = {{"classes", info.class_names},
               {"shape", std::vector<int64_t>(info.shape.begin(), info.shape.end())},
               {"mean", info.statistics.mean},
               {"deviation", info.statistics.deviation}};
  write_file(file, json.dump(2) + "\n");
}

ImageInfo load_image_info(const std::string& file) {
  Json json = Json::parse(read_text(file), nullptr, false);
  if (!json.is_object()) throw IoError(str(file, ": a JSON object expected"));
  ImageInfo info;
  info.class_names = read_list<std::string>(json, file, "classes");
  std::vector<int64_t> shape = read_list<int64_t>(json, file, "shape");
  info.statistics.mean = read_list<double>(json, file, "mean");
  info.statistics.deviation = read_list<double>(json, file, "deviation");
  bool good = shape.size() == 3 || shape.size() == 4;
  int64_t numel = 1;
  for (int64_t size : shape) {
    good = good && size >= 1 && size <= kMostValues / numel;
    if (good) numel *= size;
  }
  if (!good) throw IoError(str(file, ": \"shape\": [C, H, W] or [C, T, H, W] expected"));
  info.shape = Shape(shape.data(), static_cast<int>(shape.size()));
  for (const auto* list : {&info.statistics.mean, &info.statistics.deviation})
    if (static_cast<int64_t>(list->size()) != shape[0])
      throw IoError(str(file, ": a mean and a deviation for each of ", shape[0],
                        " channels expected, got ", list->size()));
  for (double deviation : info.statistics.deviation)
    if (!(deviation >= 0)) throw IoError(str(file, ": \"deviation\": numbers >= 0 expected"));
  return info;
}

void require_same_kind(const ImageInfo& info, const ImageSet& set) {
  if (set.image_shape() != info.shape)
    throw ValueError(
        str("images of shape ", info.shape, " expected, as in training, got ", set.image_shape()));
  const std::vector<std::string>& names = set.class_names();
  if (names.size() != info.class_names.size())
    throw ValueError(
        str(info.class_names.size(), " classes expected, as in training, got ", names.size()));
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] != info.class_names[i])
      throw ValueError(str("class ", i, " is '", info.class_names[i], "' for the model, but '",
                           names[i], "' in the data"));
}

}  // namespace heed::data
