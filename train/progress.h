// Progress on a terminal: one line that is redrawn, at most ten times a second. Where the output is
// not a terminal (piped, or TERM=dumb): plain lines, one every few seconds, without escape codes.
// Colour only on a terminal and without NO_COLOR.
//
//   Progress progress;
//   for (int64_t i = 0; i < n; ++i) { ...; progress.update(i + 1, n, str("loss ", loss)); }
//   progress.finish();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace heed::train {

class Progress {
 public:
  struct Options {
    int descriptor = 2;         // stderr
    double plain_seconds = 10;  // between lines when piped
    bool quiet = false;         // nothing at all
  };
  Progress() : Progress(Options{}) {}
  explicit Progress(const Options& options);
  ~Progress();
  Progress(const Progress&) = delete;

  bool due() const;  // would update() print now? Ask before you build an expensive text.
  // total <= 0: unknown, no bar.
  void update(int64_t done, int64_t total, std::string_view text);
  void line(std::string_view text);  // a line that stays, above the bar
  void finish();                     // ends the bar's line

 private:
  void print(std::string_view text);
  Options options_;
  bool terminal_ = false, colour_ = false, drawn_ = false;
  double shown_;  // when, in seconds of a steady clock
  bool ever_shown_ = false;
};

std::string format_duration(double seconds);  // "12s", "3m04s", "2h07m"
std::string format_count(double count);       // "950", "12.3k", "4.56M"
// "[=====>    ]"; 0 <= fraction <= 1.
std::string draw_bar(double fraction, int width);

}  // namespace heed::train
