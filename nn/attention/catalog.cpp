#include <heed/nn/attention/catalog.h>

#include <heed/core/error.h>
#include <heed/nn/attention/additive.h>
#include <heed/nn/attention/bigbird.h>
#include <heed/nn/attention/block_sparse.h>
#include <heed/nn/attention/concatenation.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/dot_product.h>
#include <heed/nn/attention/efficient.h>
#include <heed/nn/attention/gaussian.h>
#include <heed/nn/attention/linear.h>
#include <heed/nn/attention/linformer.h>
#include <heed/nn/attention/lsh.h>
#include <heed/nn/attention/luong.h>
#include <heed/nn/attention/nystrom.h>
#include <heed/nn/attention/performer.h>
#include <heed/nn/attention/svd.h>
#include <heed/nn/attention/topk.h>
#include <heed/nn/attention/window.h>

namespace heed::nn {

namespace {

template <class Variant>
std::unique_ptr<Attention> make(const AttentionConfig& config, SharedParameters&) {
  return std::make_unique<Variant>(config);
}

template <class Variant>
std::unique_ptr<Attention> make_sharing(const AttentionConfig& config, SharedParameters& shared) {
  return std::make_unique<Variant>(config, shared);
}

// The reference of a fused forward: the same composed of primitives.
template <class Variant>
Tensor composed(const Attention& attention, const Tensor& q, const Tensor& k, const Tensor& v,
                const AttentionCall& call) {
  return dynamic_cast<const Variant&>(attention).reference(q, k, v, call);
}

std::deque<AttentionEntry>& entries() {
  // name, family, paper, cost, factory, options for the conformance kit, reference
  static std::deque<AttentionEntry> list = {
      {"dense",
       "dense",
       "Vaswani et al. 2017, arXiv 1706.03762",
       "O(T S) time, O(T) memory",
       make<DenseAttention>,
       {"sinks=true"},
       composed<DenseAttention>},
      {"efficient",
       "efficient",
       "Shen et al. 2021, arXiv 1812.01243",
       "O((T + S) D E) time, O(T + S) memory",
       make<EfficientAttention>,
       {"norm=scaling"},
       composed<EfficientAttention>},
      {"linformer",
       "low-rank",
       "Wang et al. 2020, arXiv 2006.04768",
       "O((T + S) k) time and memory",
       make_sharing<LinformerAttention>,
       {"k=3", "k=4,share=kv"}},
      {"nystrom",
       "low-rank",
       "Xiong et al. 2021, arXiv 2102.03902",
       "O((T + S) m + m^3) time, O(T + S + m^2) memory",
       make<NystromAttention>,
       {"landmarks=3", "landmarks=4,ridge=0.1", "landmarks=3,conv=3"}},
      {"linear",
       "linear",
       "Katharopoulos et al. 2020, arXiv 2006.16236",
       "O((T + S) R E) time, O(T + S) memory, R features",
       make<LinearAttention>,
       {"eps=0", "map=relu", "map=relu2", "map=exp", "map=taylor2",
        "map=cosformer,max_length=2048"},
       composed<LinearAttention>},
      {"performer",
       "linear",
       "Choromanski et al. 2021, arXiv 2009.14794",
       "O((T + S) m E) time, O((T + S) m) memory, m features",
       make<PerformerAttention>,
       {"features=16,eps=0", "features=8,kind=hyperbolic,orthogonal=false"},
       composed<PerformerAttention>},
      {"window",
       "sparse",
       "Beltagy et al. 2020, arXiv 2004.05150",
       "O(T w) time, O(T) memory, w keys a query",
       make<WindowAttention>,
       {"left=3,right=2", "left=1,right=2,dilation=2", "left=1,right=1,globals=2"},
       composed<PatternAttention>},
      {"topk",
       "sparse",
       "Gupta et al. 2021, arXiv 2106.06899",
       "O(T S) time for the scores, O(T k) for the rest and for memory",
       make<TopkAttention>,
       {"k=3"},
       composed<TopkAttention>},
      {"block_sparse",
       "sparse",
       "Child et al. 2019, arXiv 1904.10509",
       "O(T S density) time, O(T) memory",
       make<BlockSparseAttention>,
       {"block=3", "block=2,pattern=strided,window=0,stride=2"},
       composed<PatternAttention>},
      {"bigbird",
       "sparse",
       "Zaheer et al. 2020, arXiv 2007.14062",
       "O(T block (window + globals + random)) time, O(T) memory",
       make<BigBirdAttention>,
       {"block=2,random=1,globals=1"},
       composed<PatternAttention>},
      {"strided",
       "sparse",
       "Child et al. 2019, arXiv 1904.10509",
       "O(T (T / stride + local block)) time, O(T) memory",
       make<StridedAttention>,
       {"block=1,stride=3,local=3"},
       composed<PatternAttention>},
      {"lsh",
       "sparse",
       "Kitaev et al. 2020, arXiv 2001.04451",
       "O(T rounds (chunk + buckets)) time, O(T rounds chunk) memory",
       make<LshAttention>,
       {"buckets=4,chunk=4,rounds=2"},
       composed<LshAttention>},
      {"svd",
       "low-rank",
       "Eckart & Young 1936; Halko et al. 2011, arXiv 0909.4061",
       "O(T S r + (T + S) D^2) time, O(T + S) memory",
       make<SvdAttention>,
       {"rank=1", "rank=3", "rank=2,gradient=projected"}},
      {"additive",
       "recurrent",
       "Bahdanau et al. 2015, arXiv 1409.0473",
       "O(T S A) time, O((T + S) A) memory",
       make<AdditiveAttention>,
       {"width=3"}},
      {"luong",
       "recurrent",
       "Luong et al. 2015, arXiv 1508.04025",
       "O(T S) time, O(T + S) memory",
       make<LuongAttention>,
       {"score=general", "score=concat,width=3"}},
      {"gaussian",
       "non-local",
       "Wang et al. 2018, arXiv 1711.07971",
       "O(T S) time, O(T) memory",
       make<GaussianAttention>,
       {"form=naive"},
       composed<EmbeddedGaussianAttention>},
      {"embedded_gaussian",
       "non-local",
       "Wang et al. 2018, arXiv 1711.07971",
       "O(T S) time, O(T) memory",
       make<EmbeddedGaussianAttention>,
       {"form=naive"},
       composed<EmbeddedGaussianAttention>},
      {"dot_product",
       "non-local",
       "Wang et al. 2018, arXiv 1711.07971",
       "O((T + S) D E) time, O(T + S) memory",
       make<DotProductAttention>,
       {"form=naive"},
       composed<DotProductAttention>},
      {"concatenation",
       "non-local",
       "Wang et al. 2018, arXiv 1711.07971",
       "O(T log T + S log S + (T + S) E) time, O(T + S) memory",
       make<ConcatenationAttention>,
       {"form=naive"},
       composed<ConcatenationAttention>},
  };
  return list;
}

std::string names() {
  std::string list;
  for (const AttentionEntry& e : entries()) list += (list.empty() ? "" : ", ") + e.name;
  return list;
}

}  // namespace

Tensor SharedParameters::get(const std::string& name, const std::function<Tensor()>& make) {
  auto [place, fresh] = tensors_.try_emplace(name);
  if (fresh) place->second = make();
  return place->second;
}

const std::deque<AttentionEntry>& attention_catalog() { return entries(); }

void register_attention(AttentionEntry entry) {
  AttentionSpec spec = parse_spec(entry.name);  // refuses what make_attention could not parse
  if (spec.name != entry.name || !entry.make)
    throw ValueError(
        str("register_attention: '", entry.name, "' needs a plain name and a factory"));
  for (const AttentionEntry& e : entries())
    if (e.name == entry.name)
      throw ValueError(str("register_attention: the name '", entry.name, "' is taken"));
  entries().push_back(std::move(entry));
}

const AttentionEntry& find_attention(const std::string& name) {
  for (const AttentionEntry& e : entries())
    if (e.name == name) return e;
  throw ValueError(str("attention: unknown variant '", name, "'; there are ", names()));
}

std::unique_ptr<Attention> make_attention(const std::string& spec, AttentionConfig config,
                                          SharedParameters& shared) {
  AttentionSpec parsed = parse_spec(spec);
  const AttentionEntry& entry = find_attention(parsed.name);
  config.options = parsed.options;
  std::unique_ptr<Attention> attention = entry.make(config, shared);
  config.options.check_known();
  attention->check_config();
  return attention;
}

std::unique_ptr<Attention> make_attention(const std::string& spec, AttentionConfig config) {
  SharedParameters shared;
  return make_attention(spec, std::move(config), shared);
}

}  // namespace heed::nn
