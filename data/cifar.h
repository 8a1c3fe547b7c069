// CIFAR-10 in its binary form (cifar-10-binary.tar.gz), files plain or gzip:
//
//   each image   1 byte, the label, 0 to 9; then 3072 bytes, 32 x 32 values of red, then of green,
//                then of blue, row-major
//   a file       any number of images, one behind the other
//
//   ImageParts cifar = read_cifar_folder("data/cifar-10-batches-bin");
//
// The classes have the ten names, one a line, in batches.meta.txt beside the files; where that is
// not there, "0" to "9".
//
// IoError, which names the file: cannot be read, empty, no whole number of images, a label above 9
// (with its place), batches that are missing, other than ten names.
#pragma once

#include <string>
#include <vector>

#include <heed/data/image_set.h>

namespace heed::data {

// The images [3, 32, 32] of all these files, in this order. ValueError: no file.
ImageSetPtr read_cifar_files(const std::vector<std::string>& paths);

// data_batch_1.bin to data_batch_5.bin for training and test_batch.bin, in that directory or in
// cifar-10-batches-bin below it. Either of the two may be missing as a whole. IoError also for a
// name that is no regular file.
ImageParts read_cifar_folder(const std::string& directory, ReadParts parts = ReadParts::all);

}  // namespace heed::data
