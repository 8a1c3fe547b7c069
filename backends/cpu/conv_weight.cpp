#include <heed/backends/conv.h>

#include <heed/backends/copy.h>
#include <heed/backends/cpu/conv_weight_by_channels.h>
#include <heed/backends/cpu/conv_weight_by_places.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/widen.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

template <class T>
void weight_gradient(const Array& x, const Array& cotangent, const ConvGeometry& g,
                     const Array& dweight) {
  const common::ConvRequest r = conv_request<T>(x, cotangent, dweight, g);
  common::with_conv_plan(r, [&](const ConvPlan& plan) {
    const T *from = pointer<T>(x), *by = pointer<T>(cotangent);
    if (plan.request.by_channels)
      WeightGradientByChannels<T>(plan, from, by).run(pointer<T>(dweight));
    else WeightGradientByPlaces<T>(plan, from, by).run(pointer<T>(dweight));
  });
}

}  // namespace

void conv_weight_gradient(const Array& x, const Array& cotangent, const ConvGeometry& geometry,
                          const Array& dweight) {
  const Array* results[] = {&dweight};
  common::in_f32(results, 1, false, [&](const Array* wide) {
    if (x.numel() == 0 || cotangent.numel() == 0) return fill(*wide, 0);
    dispatch_wide("conv_weight_gradient", wide->dtype(), [&](auto type) {
      weight_gradient<decltype(type)>(common::widened(x), common::widened(cotangent), geometry,
                                      *wide);
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
