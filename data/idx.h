// IDX files, as MNIST and its relatives come in, plain or gzip (told apart by content):
//
//   00 00 08 D   four bytes: unsigned bytes, D axes (1 to 4)
//   D x 4 bytes  the sizes, big-endian, none of them 0
//   the rest     the values, row-major, one byte each, up to the end of the file
//
//   ImageParts mnist = read_idx_folder("/usr/share/datasets/fashion-mnist");
//
// IoError: cannot be read, corrupt gzip, another magic or element type, sizes that the file is too
// short or too long for (checked before anything is allocated), unequal counts of images and
// labels, labels out of range; each names the file.
#pragma once

#include <string>

#include <heed/core/array.h>
#include <heed/data/image_set.h>

namespace heed::data {

Array read_idx(const std::string& path);  // u8

// Grey images [1, H, W] from a file of three axes [N, H, W] and one of labels [N]. The classes are
// called "0", "1", ...: as many as `classes` says, or if that is 0 up to the largest label, and
// then each of them must have an image.
ImageSetPtr read_idx_set(const std::string& images, const std::string& labels, int64_t classes = 0);

// The standard names in a directory: train-images-idx3-ubyte, train-labels-idx1-ubyte,
// t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each as it is, or with .gz, or with a dot in
// place of the last but one hyphen (train-images.idx3-ubyte). Either pair may be missing. Where
// both are read, the test images have the classes and the size of the training images. `classes` as
// in read_idx_set. IoError also for a name that is no regular file.
ImageParts read_idx_folder(const std::string& directory, ReadParts parts = ReadParts::all,
                           int64_t classes = 0);

}  // namespace heed::data
