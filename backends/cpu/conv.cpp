#include <heed/backends/conv.h>

#include <algorithm>

#include <heed/backends/copy.h>
#include <heed/backends/cpu/conv_by_channels.h>
#include <heed/backends/cpu/conv_by_places.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/widen.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

template <class T>
void convolve(const ConvPlan& plan, const T* source, const ConvWeights<T>& weights, const T* bias,
              T* out) {
  if (plan.request.by_channels) ConvolutionByChannels<T>(plan, source, weights, bias, out).run();
  else ConvolutionByPlaces<T>(plan, source, weights, bias, out).run();
}

template <class T>
void forward(const Array& x, const Array& weight, const Array& bias, const ConvGeometry& g,
             const Array& out) {
  const common::ConvRequest r = conv_request<T>(x, out, weight, g);
  const int64_t taps = weight.dim(2) * weight.dim(3) * weight.dim(4), row = taps * weight.dim(1);
  ConvWeights<T> w{pointer<T>(weight), row * r.result_channels, row, taps};
  common::with_conv_plan(r, [&](const ConvPlan& plan) {
    convolve(plan, pointer<T>(x), w, pointer<T>(bias), pointer<T>(out));
  });
}

template <class T>
void input_gradient(const Array& cotangent, const Array& weight, const ConvGeometry& g,
                    const Array& dx) {
  common::ConvRequest r = conv_request<T>(cotangent, dx, weight, g);
  const int64_t taps = weight.dim(2) * weight.dim(3) * weight.dim(4), row = taps * weight.dim(1);
  ConvWeights<T> w{pointer<T>(weight), row * r.source_channels, taps, row};
  // The residues that elements have: those of the first `stride` elements, or of all.
  int64_t residues[3];
  for (int i = 0; i < 3; ++i) residues[i] = std::min(g.stride[i], dx.dim(2 + i));
  for (int64_t z = 0; z < residues[0]; ++z)
    for (int64_t y = 0; y < residues[1]; ++y)
      for (int64_t x = 0; x < residues[2]; ++x) {
        const int64_t element[3] = {z, y, x};
        for (int i = 0; i < 3; ++i) r.axis[i].residue = (element[i] + g.padding[i]) % g.stride[i];
        common::with_conv_plan(r, [&](const ConvPlan& plan) {
          convolve<T>(plan, pointer<T>(cotangent), w, nullptr, pointer<T>(dx));
        });
      }
}

}  // namespace

void conv(const Array& x, const Array& weight, const Array& bias, const ConvGeometry& geometry,
          const Array& out) {
  const Array* results[] = {&out};
  common::in_f32(results, 1, false, [&](const Array* wide) {
    dispatch_wide("conv", wide->dtype(), [&](auto type) {
      const Array b = bias.defined() ? common::widened(bias) : bias;
      forward<decltype(type)>(common::widened(x), common::widened(weight), b, geometry, *wide);
    });
  });
}

void conv_input_gradient(const Array& cotangent, const Array& weight, const ConvGeometry& geometry,
                         const Array& dx) {
  const Array* results[] = {&dx};
  common::in_f32(results, 1, false, [&](const Array* wide) {
    dispatch_wide("conv_input_gradient", wide->dtype(), [&](auto type) {
      input_gradient<decltype(type)>(common::widened(cotangent), common::widened(weight), geometry,
                                     *wide);
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
