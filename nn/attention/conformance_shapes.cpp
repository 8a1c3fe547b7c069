// Lengths, widths and head counts of any kind.
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn::conformance {

namespace {

Tensor run(const Case& c, const Attention& a, const Triple& in, const Mask& mask = {}) {
  return a.forward(in.q, in.k, in.v, c.call(mask));
}

Triple first_tokens(const Triple& in, int64_t queries, int64_t keys) {
  Triple t{row_range(in.q, 0, queries), row_range(in.k, 0, keys), row_range(in.v, 0, keys)};
  if (in.k.impl() == in.q.impl()) t.k = t.q;
  return t;
}

// Results are finite, have the right shape, and stay the same when two padded tokens follow, which
// moves every border of blocks, chunks and SIMD registers.
void length_works(Case& c, const Attention& a, int64_t queries, int64_t keys) {
  const AttentionConfig& config = a.config();
  bool self = queries == keys;
  int64_t more = c.traits.key_padding ? 2 : 0;
  Triple longer = c.inputs(config, 2, self ? queries + more : queries, keys + more);
  Triple in = first_tokens(longer, queries, keys);
  Tensor out = run(c, a, in);
  std::string where = str(config.causal ? "causal, " : "", queries, " queries, ", keys,
                          " keys, widths ", config.head_dim, " and ", config.value_dim);
  c.require(
      out.shape() == Shape{2, config.heads, queries, config.value_dim} && out.dtype() == c.dtype,
      str(where, ": output ", out.shape(), " ", out.dtype()));
  c.finite(out, where + ": not finite");
  if (more == 0) return;
  Mask mask = Mask::key_padding({keys, keys});
  if (self) mask = mask & Mask::query_padding({queries, queries});
  c.close(row_range(run(c, a, longer, mask), 0, queries), out, c.tolerance(double(keys)),
          where + ": two padded tokens more change the output");
}

}  // namespace

void check_lengths(Case& c) {
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 132));
    for (int64_t n : {1, 2, 3, 17, 63, 64, 65, 127}) length_works(c, *a, n, n);
    if (!causal && c.traits.cross && !c.traits.shared_qk)
      for (auto [queries, keys] :
           {std::pair<int64_t, int64_t>{1, 17}, {17, 1}, {5, 64}, {65, 3}, {2, 127}})
        length_works(c, *a, queries, keys);

    // Any strides: positions before heads, as projections give them, and every second token.
    Triple in = c.inputs(a->config(), 2, 17, 17);
    Tensor expected = run(c, *a, in);
    auto transposed = [](const Tensor& x) {
      return x.transpose(1, 2).contiguous().transpose(1, 2);
    };
    auto spread = [](const Tensor& x) {
      return stack({x, x * 0.0 + 9.0}, 3).reshape({x.dim(0), x.dim(1), 2 * x.dim(2), x.dim(3)});
    };
    Triple t{transposed(in.q), transposed(in.k), transposed(in.v)};
    Triple s{spread(in.q).slice(2, 0, 34, 2), spread(in.k).slice(2, 0, 34, 2),
             spread(in.v).slice(2, 0, 34, 2)};
    for (Triple* other : {&t, &s}) {
      if (c.traits.shared_qk) other->k = other->q;
      c.close(run(c, *a, *other), expected, c.tolerance(17), "another memory layout");
    }
  }
}

// Widths that a variant cannot have are refused with its name, here or in its constructor.
void check_sizes(Case& c) {
  for (bool causal : c.forms)
    for (int64_t width : {1, 3, 24, 80, 96})
      for (int64_t value : {width, width + 5}) {
        AttentionConfig config = c.config(causal, 24);
        config.heads = config.kv_heads = 3;
        config.head_dim = width;
        config.value_dim = value;
        std::unique_ptr<Attention> a;
        std::string message;
        auto attempt = [&] {
          a = c.make(config);
          run(c, *a, c.inputs(config, 2, 9, 9));
        };
        if (!c.refuses(attempt, &message)) {
          c.require(a != nullptr && message == "nothing was thrown",
                    str("3 heads, widths ", width, " and ", value, ": ", message));
          length_works(c, *a, 9, 9);
        }
      }
}

void check_empty(Case& c) {
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    const AttentionConfig& config = a->config();
    auto empty = [&](int64_t batch, int64_t queries, int64_t keys) {
      std::string where =
          str(causal ? "causal: " : "", batch, " items, ", queries, " queries, ", keys, " keys");
      Triple in = c.inputs(config, batch, queries, keys);
      Evaluation p = c.evaluate(*a, in, c.call(), c.cotangent(*a, in));
      c.require(p.out.shape() == Shape{batch, config.heads, queries, config.value_dim},
                str(where, ": output ", p.out.shape()));
      for (const Tensor& t : p.all()) c.zero(t, where + ": not zero");
    };
    empty(2, 0, 0);
    empty(0, 5, 5);
    if (!c.traits.cross || c.traits.shared_qk || causal) continue;
    empty(2, 3, 0);
    empty(2, 0, 5);
  }
}

void check_grouped(Case& c) {
  auto grouped_config = [&](bool causal, int64_t kv_heads) {
    AttentionConfig config = c.config(causal, 16);
    config.heads = 4;
    config.kv_heads = kv_heads;
    return config;
  };
  for (bool causal : c.forms) {
    std::string message;
    if (!c.traits.grouped_heads) {
      c.require(c.refuses([&] { c.make_plain(grouped_config(causal, 2)); }, &message),
                "grouped heads are not declared, and not refused: " + message);
      continue;
    }
    auto few = c.make(grouped_config(causal, 2)), many = c.make_plain(grouped_config(causal, 4));
    if (!(few->parameter_count() == many->parameter_count()))
      c.not_applicable("parameters depend on the number of key heads");
    many->load_state_dict(few->state_dict());
    Triple in = c.inputs(few->config(), 2, 9, 9);
    auto repeated = [&](const Tensor& x) { return index_select(x, 1, {0, 0, 1, 1}); };
    Triple wide{in.q, repeated(in.k), repeated(in.v)};
    Tensor cotangent = c.cotangent(*few, in);
    Mask mask = c.traits.key_padding ? Mask::key_padding({9, 5}) : Mask();
    Evaluation a = c.evaluate(*few, in, c.call(mask), cotangent);
    Evaluation b = c.evaluate(*many, wide, c.call(mask), cotangent);
    double bound = c.tolerance(18);
    auto folded = [](const Tensor& x) {  // [B, 4, S, C] -> [B, 2, S, C]
      return sum(x.reshape({x.dim(0), 2, 2, x.dim(2), x.dim(3)}), {2});
    };
    c.close(a.out, b.out, bound, "grouped heads differ from repeated key heads");
    c.close(a.q, b.q, bound, "gradient of q, grouped against repeated");
    c.close(a.k, folded(b.k), bound, "gradient of k, grouped against repeated");
    c.close(a.v, folded(b.v), bound, "gradient of v, grouped against repeated");
    if (!causal || c.traits.decode == DecodeKind::none) continue;
    auto state = few->new_state(2, 9, c.dtype, kCpu);
    few->absorb(row_range(in.k, 0, 5), row_range(in.v, 0, 5), c.call(), *state);
    Tensor tail = few->step(row_range(in.q, 5, 9), row_range(in.k, 5, 9), row_range(in.v, 5, 9),
                            c.call(), *state);
    c.close(tail, row_range(run(c, *few, in), 5, 9), bound, "grouped heads: decoding");
  }
}

}  // namespace heed::nn::conformance
