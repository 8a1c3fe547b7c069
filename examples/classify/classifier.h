// A classifier of pictures or clips: a vision transformer or a residual network. What the program
// does with either is the same.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <heed/data/image_info.h>
#include <heed/models/resnet.h>
#include <heed/models/vit.h>

#include "settings.h"

namespace heed::examples {

inline constexpr const char* kImages = "images.json";  // in a checkpoint: data/image_info.h

class Classifier {
 public:
  using Config = std::variant<models::ViTConfig, models::ResNetConfig>;
  explicit Classifier(const Config& config);

  nn::Module& module() const;
  Tensor forward(const Tensor& images) const;  // logits [B, classes]
  // Images as they come from batches, on the model's device and in its dtype.
  Tensor input(const Array& images) const;
  std::string to_json() const;
  std::string head() const { return vit() ? "head" : "fc"; }  // the layer that gives the classes
  std::string attention() const;                              // for the first line of a run
  const models::ViT* vit() const;                             // null: a ResNet
  const models::ResNet* resnet() const;                       // null: a ViT

 private:
  std::variant<std::unique_ptr<models::ViT>, std::unique_ptr<models::ResNet>> model_;
};

Classifier::Config classifier_from_json(std::string_view json);  // ValueError
void check_classifier_json(std::string_view json);               // the same check alone
std::vector<std::string> resnet_presets_for(const std::string& arch);
std::string listed(std::vector<int64_t> numbers);  // "1,2,2"

// ValueError: settings that do not fit the pictures.
Classifier::Config classifier_config(const ClassifySettings& s, const data::ImageInfo& info);

// Weights from a run, a checkpoint, or a file of torchvision's layout; where the classes are
// others in number, all but the head. Returns what it did, for the user's eye. IoError, ValueError.
std::string init_from(Classifier& classifier, const std::string& path);

struct SavedClassifier {
  std::unique_ptr<Classifier> model;  // in eval mode
  data::ImageInfo info;
  std::string directory;  // of the checkpoint
};
// A checkpoint, or a run's directory: its best checkpoint. IoError or ValueError name the file.
SavedClassifier load_classifier(const std::string& path);

}  // namespace heed::examples
