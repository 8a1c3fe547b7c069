#include <heed/train/progress.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace heed::train {

namespace {
constexpr double kRedrawSeconds = 0.1;
constexpr int kBarWidth = 20;

bool is_terminal(int descriptor) {
  const char* term = std::getenv("TERM");
  return ::isatty(descriptor) && !(term && std::strcmp(term, "dumb") == 0);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

size_t terminal_width(int descriptor) {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}
}  // namespace

Progress::Progress(const Options& options) : options_(options), shown_(now()) {
  terminal_ = is_terminal(options.descriptor);
  const char* no_color = std::getenv("NO_COLOR");  // no-color.org: set and not empty
  colour_ = terminal_ && !(no_color && *no_color);
}

Progress::~Progress() { finish(); }

bool Progress::due() const {
  if (options_.quiet) return false;
  double since = now() - shown_;
  return terminal_ ? !ever_shown_ || since >= kRedrawSeconds : since >= options_.plain_seconds;
}

void Progress::update(int64_t done, int64_t total, std::string_view text) {
  if (!due()) return;
  shown_ = now();
  ever_shown_ = true;
  double fraction = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
  fraction = std::clamp(fraction, 0.0, 1.0);
  if (!terminal_) {
    std::string percent = total > 0 ? fmt::format("{:3.0f} %  ", 100 * fraction) : "";
    return print(fmt::format("{}{}\n", percent, text));
  }
  std::string bar = total > 0 ? draw_bar(fraction, kBarWidth) + " " : "";
  std::string line(text);
  size_t width = terminal_width(options_.descriptor);
  size_t room = width > bar.size() + 1 ? width - bar.size() - 1 : 0;
  if (line.size() > room) line.resize(room);  // a line that wraps could not be redrawn
  if (colour_) bar = "\033[32m" + bar + "\033[0m";
  print(fmt::format("\r\033[K{}{}", bar, line));
  drawn_ = true;
}

void Progress::line(std::string_view text) {
  if (options_.quiet) return;
  print(fmt::format("{}{}\n", drawn_ ? "\r\033[K" : "", text));
  drawn_ = false;
}

void Progress::finish() {
  if (drawn_) print("\n");
  drawn_ = false;
}

void Progress::print(std::string_view text) {
  while (!text.empty()) {  // what cannot be shown must not stop training
    ssize_t n = ::write(options_.descriptor, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  auto s = static_cast<int64_t>(std::llround(std::min(seconds, 1e12)));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
}

std::string format_count(double count) {
  if (!std::isfinite(count)) return "?";
  if (std::abs(count) < 999.5) return fmt::format("{:.0f}", count);
  int power = 0;
  while (std::abs(count) >= 999.5 && power < 3) {
    count /= 1000;
    ++power;
  }
  int decimals = std::abs(count) < 9.995 ? 2 : std::abs(count) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", count, decimals, " kMG"[power]);
}

std::string draw_bar(double fraction, int width) {
  int filled = static_cast<int>(std::floor(std::clamp(fraction, 0.0, 1.0) * width));
  std::string bar(static_cast<size_t>(filled), '=');
  if (filled < width) bar += '>';
  bar.resize(static_cast<size_t>(width), ' ');
  return "[" + bar + "]";
}

}  // namespace heed::train
