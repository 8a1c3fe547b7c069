#!/usr/bin/env python3
"""Follows docs/adding.md: adds an op with a kernel, an elementwise function and an attention
variant to a copy of the tree, builds it as the build folder says, and runs what is to prove them.

  adding.py SOURCE_ROOT BUILD_DIR

A step that the page does not name is a failure: each file that is written here must stand there.
Of the variant's page and its row in the table only that is checked: nn_test looks at the rest."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

source, build = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
page = (source / "docs/adding.md").read_text()
OP, FUNCTION, VARIANT = "twice", "cube", "uniform"


def named(path, name=""):
    """Fails unless the page names the path; it says `foo` where a name of one's own is to stand."""
    text = re.sub(rf"\b{name}\b", "foo", path) if name else path
    stem, _, ending = text.rpartition(".")
    ways = [text, f"{stem}.h`, `.{ending}", f"{stem}.h`, `{text.rsplit('/', 1)[-1]}"]
    if not any(f"`{way}`" in page for way in ways):
        sys.exit(f"docs/adding.md does not name {text}")


def write(root, path, text, name):
    named(path, name)
    (root / path).write_text(text)


def insert(root, path, after, text):
    """Puts `text` behind the first occurrence of `after`."""
    named(path)
    old = (root / path).read_text()
    if after not in old:
        sys.exit(f"{path}: no '{after}' to write behind")
    (root / path).write_text(old.replace(after, after + text, 1))


def add_op(root):
    write(root, f"autograd/ops/{OP}.h",
          """// y = 2 x: f32, f64, bf16, any shape. DTypeError for other types.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

Tensor twice(const Tensor& x);

}  // namespace heed
""", OP)
    write(root, f"autograd/ops/{OP}.cpp", """#include <heed/autograd/ops/twice.h>

#include <heed/autograd/ops/operand.h>
#include <heed/autograd/tape.h>
#include <heed/backends/twice.h>

namespace heed {
namespace {

struct Twice {
  static constexpr const char* name = "twice";
  static constexpr unsigned saves = 0;
  Array forward(Inputs in) {
    require_floating(name, in[0]);
    Array out = in[0].new_empty(in[0].shape());
    kernels::twice(packed(in[0]), out);
    return out;
  }
  void vjp(Vjp& v) { v.add(0, twice(v.cotangent())); }
};

}  // namespace

Tensor twice(const Tensor& x) { return apply(Twice{}, x); }

}  // namespace heed
""", OP)
    write(root, f"backends/{OP}.h", """// out = 2 x, contiguous, f32, f64, bf16; out may be x.
#pragma once

#include <heed/backends/kernel.h>

HEED_KERNEL(twice, void(const Array& x, const Array& out));
""", OP)
    write(root, f"backends/cpu/{OP}.cpp", """#include <heed/backends/twice.h>

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/pointer.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

void twice(const Array& x, const Array& out) {
  dispatch_floating("twice", x.dtype(), [&](auto type) {
    using S = decltype(type);
    const S* from = pointer<S>(x);
    S* to = pointer<S>(out);
    for (int64_t i = 0; i < x.numel(); ++i) to[i] = narrowed<S>(2 * widened(from[i]));
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
""", OP)
    insert(root, "heed.h", "#include <heed/autograd/ops/softmax.h>\n",
           "#include <heed/autograd/ops/twice.h>\n")
    cases = "tests/autograd/opcases_unary.cpp"
    insert(root, cases, "#include <heed/autograd/ops/elementwise.h>\n",
           "#include <heed/autograd/ops/twice.h>\n")
    insert(root, cases, 'unary("neg", neg, [](double x) { return -x; }),',
           '\n      unary("twice", twice, [](double x) { return 2 * x; }),'
           '\n      unary("cube", cube, [](double x) { return x * x * x; }),')


def add_function(root):
    insert(root, "backends/elementwise.h", "sign, clamp", f", {FUNCTION}")
    insert(root, "backends/elementwise_rows.h", 'HEED_ROW(Erf, erf, "erf", x, erf(x),'
           " kTwoOverSqrtPi * exp(-(x * x)));\n",
           'HEED_ROW(Cube, cube, "cube", x, x * x * x, 3.0 * x * x);\n')
    insert(root, "backends/elementwise_rows.h", "X(Sign) X(Clamp)", " X(Cube)")
    insert(root, "autograd/ops/elementwise.h", "Tensor erf(const Tensor& x);\n",
           "Tensor cube(const Tensor& x);\n")
    insert(root, "autograd/ops/elementwise.cpp",
           "Tensor erf(const Tensor& x) { return unary<rows::Erf>(x); }\n",
           "Tensor cube(const Tensor& x) { return unary<rows::Cube>(x); }\n")


def add_variant(root):
    write(root, f"nn/attention/{VARIANT}.h",
          """// Weights that hardly depend on the scores, so that they are nearly uniform.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class UniformAttention : public Attention {
 public:
  using Attention::Attention;
  const char* name() const override { return "uniform"; }
  Traits traits() const override;
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
};

}  // namespace heed::nn
""", VARIANT)
    write(root, f"nn/attention/{VARIANT}.cpp", """#include <heed/nn/attention/uniform.h>

#include <limits>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/nn/attention/kv_step.h>

namespace heed::nn {

Traits UniformAttention::traits() const {
  Traits t;
  t.causal = t.cross = t.key_padding = t.left_padding = t.pair_mask = true;
  t.decode = DecodeKind::kv;
  return t;
}

// Scores that are small, but depend on q and k: a gradient of zero would look like a fault.
static Tensor mix(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& visible) {
  Tensor scores = tanh(matmul(q, k.transpose(2, 3)));
  return matmul(softmax(where(visible, scores, -std::numeric_limits<double>::infinity()), 3), v);
}

Tensor UniformAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionCall& call) const {
  check_call(q, k, v, call);
  return mix(call.mask.select_queries(q, 2) * scale_of(call), call.mask.select_keys(k, 2),
             call.mask.select_keys(v, 2),
             call.mask.dense(q.dim(0), q.dim(2), k.dim(2), q.device(), config().causal));
}

Tensor UniformAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                              const AttentionCall& call, DecodeState& state) const {
  NoGrad guard;
  KVCache& cache = state_as<KVCache>(state);
  check_step(q, k, v, call, cache);
  KVStep s = begin_kv_step(cache, k, v, call.mask, config().causal, q.dim(2));
  return mix(call.mask.select_queries(q, 2) * scale_of(call), s.keys, s.values,
             visible_pairs(s.terms, q.dim(0), q.dim(2), s.keys.dim(2), q.device()));
}

}  // namespace heed::nn
""", VARIANT)
    catalog = "nn/attention/catalog.cpp"
    insert(root, catalog, "#include <heed/nn/attention/topk.h>\n",
           f"#include <heed/nn/attention/{VARIANT}.h>\n")
    old = (root / catalog).read_text()
    row = '      {"uniform", "toy", "", "O(T S)", make<UniformAttention>, {""}, {}},\n'
    row += '      {"topk",'
    (root / catalog).write_text(old.replace('      {"topk",', row, 1))
    insert(root, "nn/nn.h", "#include <heed/nn/attention/topk.h>\n",
           f"#include <heed/nn/attention/{VARIANT}.h>\n")
    write(root, f"docs/attention/{VARIANT}.md", """# Nearly uniform attention (`uniform`)

    O = softmax(tanh(Q K^T / sqrt(D))) V

No score is larger than 1, so no key has more than e^2 times the weight of another. It has no
options, takes O(T S), and cannot pick out a single key.
""", VARIANT)
    add_to_table(root, f"[`{VARIANT}`]({VARIANT}.md)",
                 {name: "yes" for name in ["causal", "cross", "key padding", "left padding",
                                           "pair mask"]} | {"decoding": "kv"})


def add_to_table(root, name, traits):
    """A row of docs/attention/README.md, behind that of topk."""
    table = "docs/attention/README.md"
    lines = (root / table).read_text().splitlines()
    head = next(line for line in lines if line.startswith("| variant |"))
    columns = [cell.strip() for cell in head.split("|")[2:-1]]
    if unknown := traits.keys() - set(columns):
        sys.exit(f"{table} has no column {unknown}")
    cells = [name] + [traits.get(column, "") for column in columns]
    row = "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)
    topk = next(line for line in lines if line.startswith("| [`topk`]"))
    insert(root, table, topk + "\n", row + "\n")


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n"
                 + done.stdout[-6000:])
    return done.stdout


def main():
    settings = dict(re.findall(r"^(HEED_\w+):\w+=(.*)$",
                               (build / "CMakeCache.txt").read_text(), re.MULTILINE))
    kept = ["HEED_UNITY", "HEED_WERROR"]
    # What is proved does not depend on speed, and most of the time goes into compiling.
    fast = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DHEED_CPU_LEVELS=baseline"]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "heed"
        shutil.copytree(source, root, ignore=shutil.ignore_patterns(".git", "build", "*.pyc"))
        add_op(root)
        add_function(root)
        add_variant(root)
        run("cmake", "-G", "Ninja", "-S", root, "-B", root / "build", *fast,
            *(f"-D{key}={settings[key]}" for key in kept if key in settings), cwd=root)
        run("cmake", "--build", root / "build", "--target", "autograd_test", "attention_check",
            cwd=root)
        programs = root / "build/bin"
        print(run(programs / "autograd_test", "op cases: unary,every public op has an OpCase",
                  cwd=root).strip().splitlines()[-1])
        print(run(programs / "attention_check", VARIANT, cwd=root).strip().splitlines()[-1])
        run(source / "tests/checks/layering", root, cwd=root)


main()
