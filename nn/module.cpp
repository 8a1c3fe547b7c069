#include <heed/nn/module.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include <heed/core/error.h>

namespace heed::nn {

namespace {

std::string join(const std::string& prefix, const std::string& name) {
  if (prefix.empty() || name.empty()) return prefix + name;
  return prefix + "." + name;
}

std::string with_separators(int64_t number) {
  std::string digits = std::to_string(number);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

}  // namespace

// All listings use this: f(path, tensor) for each entry whose tensor is defined.
template <class F>
void Module::walk(const std::string& prefix, const Entries Module::*entries, F&& f) const {
  for (const auto& [name, tensor] : this->*entries)
    if (tensor->defined()) f(join(prefix, name), *tensor);
  for (const auto& [name, child] : children_) child->walk(join(prefix, name), entries, f);
}

NamedTensors Module::named_parameters(bool with_tied) const {
  NamedTensors list;
  std::set<TensorImpl*> seen;
  walk("", &Module::parameters_, [&](const std::string& path, const Tensor& t) {
    if (seen.insert(t.impl()).second || with_tied) list.emplace_back(path, t);
  });
  return list;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> list;
  for (auto& [name, tensor] : named_parameters()) list.push_back(tensor);
  return list;
}

NamedTensors Module::named_buffers() const {
  NamedTensors list;
  walk("", &Module::buffers_,
       [&](const std::string& path, const Tensor& t) { list.emplace_back(path, t); });
  for (auto& running : running_buffers()) list.push_back(std::move(running));
  return list;
}

NamedTensors Module::running_buffers() const {
  NamedTensors list;
  walk("", &Module::running_,
       [&](const std::string& path, const Tensor& t) { list.emplace_back(path, t); });
  return list;
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const Tensor& t : parameters()) count += t.numel();
  return count;
}

Device Module::device() const {
  NamedTensors list = named_parameters();
  return list.empty() ? kCpu : list.front().second.device();
}

void Module::visit(const std::function<void(const std::string&, Module&)>& f) {
  visit_below("", f);
}

void Module::visit_below(const std::string& path,
                         const std::function<void(const std::string&, Module&)>& f) {
  f(path, *this);
  for (auto& [name, child] : children_) child->visit_below(join(path, name), f);
}

void Module::train(bool on) {
  training_ = on;
  for (auto& [name, child] : children_) child->train(on);
}

void Module::zero_grad() const {
  for (const Tensor& t : parameters()) t.zero_grad();
}

void Module::to(DType dtype) {
  if (!is_differentiable(dtype)) refuse_dtype("Module::to", dtype);
  auto to = [](DType dtype) {
    return
        [=](const Tensor& t) { return is_floating(t.dtype()) ? t.to(dtype).array() : t.array(); };
  };
  replace(to(dtype), {&Module::buffers_});
  walk("", &Module::running_,
       [&](const std::string&, const Tensor& t) { t.set_value(to(accumulate_dtype(dtype))(t)); });
}

void Module::to(Device device) {
  replace([&](const Tensor& t) { return t.to(device).array(); },
          {&Module::buffers_, &Module::running_, &Module::unsaved_buffers_});
}

// set_value reaches every handle, so tied parameters stay tied.
void Module::replace(const std::function<Array(const Tensor&)>& f,
                     std::initializer_list<const Entries Module::*> all_buffers) {
  for (const Tensor& t : parameters()) {
    Array value = f(t.detach());
    if (value.shares_storage(t.array())) continue;
    Tensor gradient = t.grad();
    t.set_value(value);
    if (gradient.defined()) t.set_grad(Tensor(f(gradient.detach())));
  }
  for (const Entries Module::*buffers : all_buffers)
    walk("", buffers, [&](const std::string&, const Tensor& t) { t.set_value(f(t)); });
}

StateDict Module::state_dict() const {
  StateDict state;
  for (const auto& [name, t] : named_parameters(true)) state[name] = t;
  for (const auto& [name, t] : named_buffers()) state[name] = t;
  return state;
}

namespace {
// What is wrong with some entries: how many, and the first of them.
struct Faults {
  std::string what, listed{};
  int64_t count = 0;

  void add(const std::string& fault) {
    constexpr int64_t kListed = 6;
    if (++count <= kListed) listed += "\n  " + fault;
    else if (count == kListed + 1) listed += "\n  ..";
  }
  std::string text() const { return count ? str("\n", count, " ", what, ":", listed) : ""; }
};

// NaN equals NaN.
bool same_values(const Tensor& a, const Tensor& b) {
  Array x = a.detach().to(kCpu).array(), y = b.detach().to(kCpu).array();
  if (x.dtype() == y.dtype() && x.is_contiguous() && y.is_contiguous() &&
      std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.bytes())) == 0)
    return true;
  std::vector<double> u = a.to_vector(), v = b.to_vector();
  return std::equal(u.begin(), u.end(), v.begin(), v.end(),
                    [](double p, double q) { return p == q || (p != p && q != q); });
}
}  // namespace

// A name that is missing takes the value of one that is tied to it.
void Module::load_state_dict(const StateDict& state) {
  StateDict mine = state_dict();
  std::map<TensorImpl*, std::string> first;               // of the names in `state` of a tensor
  std::vector<std::pair<std::string, std::string>> tied;  // that name, and another of the tensor
  Faults missing{"missing"}, unexpected{"unexpected"}, misshapen{"of another shape"},
      differing{"of one tensor, but with different values"};
  for (const auto& [name, t] : mine) {
    auto found = state.find(name);
    if (found == state.end() || !found->second.defined()) continue;
    auto [entry, fresh] = first.emplace(t.impl(), name);
    if (!fresh) tied.emplace_back(entry->second, name);
    if (!(found->second.shape() == t.shape()))
      misshapen.add(str(name, ": ", t.shape(), " expected, got ", found->second.shape()));
  }
  for (const auto& [name, t] : mine)
    if (!first.count(t.impl())) missing.add(name + " " + to_string(t.shape()));
  for (const auto& [name, t] : state)
    if (!mine.count(name)) unexpected.add(name);
  if (!misshapen.count)
    for (const auto& [one, other] : tied)
      if (!same_values(state.at(one), state.at(other))) differing.add(one + " and " + other);
  std::string faults = missing.text() + unexpected.text() + misshapen.text() + differing.text();
  if (!faults.empty())
    throw ValueError(str("load_state_dict: the weights do not fit this ", type_name(), faults));
  NoGrad guard;
  for (const auto& [impl, name] : first) mine.at(name).copy_(state.at(name));
}

std::string Module::summary() const {
  struct Row {
    std::string module, shapes, count;
  };
  std::vector<Row> rows;
  std::function<void(const Module&, const std::string&, int)> list =
      [&](const Module& m, const std::string& name, int depth) {
        std::string shapes;
        for (const auto& [own, t] : m.parameters_)
          if (t->defined())
            shapes += (shapes.empty() ? "" : ", ") + own + " " + to_string(t->shape());
        std::string head = std::string(static_cast<size_t>(2 * depth), ' ');
        if (!name.empty()) head += name + ": ";
        rows.push_back({head + m.type_name(), shapes, with_separators(m.parameter_count())});
        for (const auto& [child_name, child] : m.children_) list(*child, child_name, depth + 1);
      };
  list(*this, "", 0);
  size_t widths[3] = {6, 10, 5};
  for (const Row& r : rows) {
    widths[0] = std::max(widths[0], r.module.size());
    widths[1] = std::max(widths[1], r.shapes.size());
    widths[2] = std::max(widths[2], r.count.size());
  }
  std::string out;
  auto line = [&](const Row& r) {
    out += r.module + std::string(widths[0] - r.module.size() + 2, ' ');
    out += r.shapes + std::string(widths[1] - r.shapes.size() + 2, ' ');
    out += std::string(widths[2] - r.count.size(), ' ') + r.count + "\n";
  };
  line({"module", "parameters", "count"});
  for (const Row& r : rows) line(r);
  return out + "total: " + with_separators(parameter_count()) + " parameters\n";
}

Tensor& Module::register_parameter(const std::string& name, Tensor& tensor) {
  if (tensor.defined() && !tensor.requires_grad()) tensor.set_requires_grad(true);
  parameters_.emplace_back(name, &tensor);
  return tensor;
}

Tensor& Module::register_buffer(const std::string& name, Tensor& tensor, bool saved) {
  (saved ? buffers_ : unsaved_buffers_).emplace_back(name, &tensor);
  return tensor;
}

Tensor& Module::register_running(const std::string& name, Tensor& tensor) {
  running_.emplace_back(name, &tensor);
  return tensor;
}

void Module::register_module(const std::string& name, Module& child) {
  child.name_ = name;
  children_.emplace_back(name, &child);
}

}  // namespace heed::nn
