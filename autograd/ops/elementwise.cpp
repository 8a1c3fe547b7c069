#include <heed/autograd/ops/elementwise.h>

#include <cmath>

#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/backends/elementwise.h>
#include <heed/backends/elementwise_rows.h>

namespace heed {

// Functions that the rows use besides the public ones; argument-dependent lookup must find them, so
// they are not in the unnamed namespace.
static Tensor one_where(const Tensor& condition, const Tensor& like) {
  return cast(condition, like.dtype());
}
static Tensor greater_equal(const Tensor& a, double b) {
  return greater_equal(a, a.new_full({}, b));
}
static Tensor less_equal(const Tensor& a, double b) { return less_equal(a, a.new_full({}, b)); }

namespace {

// Checks that `number` can be taken in the dtype of the tensor it is combined with.
void check_number(const char* op, double number, DType beside) {
  if (!is_differentiable(beside) && number != std::floor(number))
    throw DTypeError(str(op, ": ", number, " beside a tensor of ", beside,
                         ", where a whole number is expected; to() converts the tensor"));
}
Tensor number(const char* op, double value, const Tensor& beside) {
  check_number(op, value, beside.dtype());
  return beside.new_full({}, value);
}

// a x + b: add, mul and neg with scalars.
struct Affine {
  static constexpr const char* name = "affine";
  static constexpr unsigned saves = 0;
  double a, b;
  Array forward(Inputs in) {
    if (!is_number(in[0].dtype())) refuse_dtype(name, in[0].dtype(), "a number type");
    for (double x : {a, b}) check_number("affine", x, in[0].dtype());
    Array out = in[0].new_empty(in[0].shape());
    kernels::unary(UnaryOp::affine, {a, b}, in[0], out);
    return out;
  }
  void vjp(Vjp& v) { v.add(0, a == 1 ? v.cotangent() : mul(v.cotangent(), a)); }  // (a x + b)' = a
};

struct DivNumber {
  static constexpr const char* name = "div";
  static constexpr unsigned saves = 0;
  double by;
  Array forward(Inputs in) {
    require_floating(name, in[0]);
    Array out = in[0].new_empty(in[0].shape());
    if (in[0].dtype() == DType::bf16) {  // which would round the divisor
      kernels::unary(UnaryOp::affine, {1 / by, 0}, in[0], out);
      return out;
    }
    Tensor divisor = in.tensor(0).new_full({}, by);
    kernels::binary(BinaryOp::div, in[0], divisor.array().broadcast_to(in[0].shape()), out);
    return out;
  }
  void vjp(Vjp& v) { v.add(0, div(v.cotangent(), by)); }
};

// Saves what f' reads, x or y; for bf16 always x (kKeepsInput), since the stored y is rounded.
template <class Row, bool kKeepsInput>
struct Unary {
  static constexpr const char* name = Row::name;
  static constexpr unsigned saves = kKeepsInput ? 1u : kOutput;
  UnaryParams p;
  Array forward(Inputs in) {
    require_floating(name, in[0]);
    Array out = in[0].new_empty(in[0].shape());
    kernels::unary(Row::op, p, in[0], out);
    return out;
  }
  void vjp(Vjp& v) {  // dx = dy f'(x), f' from the row
    const Tensor& g = v.cotangent();
    Tensor saved = kKeepsInput ? v.input(0) : v.output();
    if (v.create_graph()) {
      constexpr bool again = kKeepsInput && Row::reads != rows::Reads::x;
      v.add(0, g * Row::df(saved, again ? apply(Unary{p}, saved) : saved, p));
      return;
    }
    Array out = g.array().new_empty(g.shape());
    kernels::unary_backward(Row::op, p, saved.array(), saved.array(), g.array(), out);
    v.add(0, Tensor(std::move(out)));
  }
};

template <class Row>
Tensor unary(const Tensor& x, UnaryParams p = {}) {
  if (Row::reads == rows::Reads::x || x.dtype() == DType::bf16)
    return apply(Unary<Row, true>{p}, x);
  return apply(Unary<Row, Row::reads == rows::Reads::x>{p}, x);
}

Array binary_forward(const char* name, BinaryOp op, Inputs in) {
  const Array &a = in[0], &b = in[1];
  bool logical = op == BinaryOp::logical_and || op == BinaryOp::logical_or;
  bool floating = op == BinaryOp::div || op == BinaryOp::pow;
  bool fits = logical    ? a.dtype() == DType::boolean
              : floating ? is_differentiable(a.dtype())
                         : is_number(a.dtype());
  if (a.dtype() == b.dtype() && a.dtype() == DType::f16) refuse_dtype(name, a.dtype());
  if (a.dtype() != b.dtype() || !fits)
    throw DTypeError(str(name, ": two operands of one ",
                         logical    ? "bool"
                         : floating ? "floating-point"
                                    : "number",
                         " type expected, got ", a.dtype(), " and ", b.dtype()));
  Shape shape = broadcast(a.shape(), b.shape(), name);
  Array out = a.new_empty(shape);
  kernels::binary(op, a.broadcast_to(shape), b.broadcast_to(shape), out);
  return out;
}

struct Add {
  static constexpr const char* name = "add";
  static constexpr unsigned saves = 0;
  Array forward(Inputs in) { return binary_forward(name, BinaryOp::add, in); }
  void vjp(Vjp& v) {
    for (int i : {0, 1})
      if (v.needs(i)) v.add(i, sum_to(v.cotangent(), v.shape(i)));
  }
};

struct Sub {
  static constexpr const char* name = "sub";
  static constexpr unsigned saves = 0;
  Array forward(Inputs in) { return binary_forward(name, BinaryOp::sub, in); }
  void vjp(Vjp& v) {
    if (v.needs(0)) v.add(0, sum_to(v.cotangent(), v.shape(0)));
    if (v.needs(1)) v.add(1, sum_to(neg(v.cotangent()), v.shape(1)));
  }
};

// Gradients of broadcast operands are sums, of which bf16 would round each term.
Tensor term(Vjp& v, const Tensor& x) {
  bool summed = !(v.shape(0) == v.cotangent().shape() && v.shape(1) == v.cotangent().shape());
  return summed ? widened(x) : x;
}
void add_sum(Vjp& v, int i, const Tensor& gradient) {
  v.add(i, cast(sum_to(gradient, v.shape(i)), v.dtype(i)));
}

struct Mul {
  static constexpr const char* name = "mul";
  static constexpr unsigned saves = 0b11;
  Array forward(Inputs in) { return binary_forward(name, BinaryOp::mul, in); }
  void vjp(Vjp& v) {
    Tensor g = term(v, v.cotangent());
    if (v.needs(0)) add_sum(v, 0, g * term(v, v.input(1)));
    if (v.needs(1)) add_sum(v, 1, g * term(v, v.input(0)));
  }
};

struct Div {
  static constexpr const char* name = "div";
  static constexpr unsigned saves = 0b11;
  Array forward(Inputs in) { return binary_forward(name, BinaryOp::div, in); }
  void vjp(Vjp& v) {  // c = a / b:  da = dc / b,  db = -dc a / b^2
    Tensor a = widened(v.input(0)), b = widened(v.input(1)), da = widened(v.cotangent()) / b;
    if (v.needs(0)) add_sum(v, 0, da);
    if (v.needs(1)) add_sum(v, 1, neg(da * (a / b)));
  }
};

struct PowTensor {
  static constexpr const char* name = "pow";
  static constexpr unsigned saves = 0b11 | kOutput;
  Array forward(Inputs in) { return binary_forward(name, BinaryOp::pow, in); }
  void vjp(Vjp& v) {  // c = a^b:  da = dc b a^(b-1),  db = dc c log a
    Tensor a = widened(v.input(0)), b = widened(v.input(1)), g = widened(v.cotangent());
    if (v.needs(0)) add_sum(v, 0, g * b * pow(a, b - 1.0));
    if (!v.needs(1)) return;
    Tensor c = v.dtype(0) == DType::bf16 ? pow(a, b) : v.output();  // not the rounded output
    add_sum(v, 1, g * c * log(a));
  }
};

// The gradient goes to the operand that gave the value, in halves if both are equal.
struct Extremum {
  static constexpr unsigned saves = 0b11;
  static void vjp(Vjp& v, bool first_wins_if_less) {
    Tensor a = v.input(0), b = v.input(1);
    Tensor half = cast(equal(a, b), v.dtype(0)) * 0.5;
    Tensor first = cast(first_wins_if_less ? less(a, b) : greater(a, b), v.dtype(0)) + half;
    if (v.needs(0)) v.add(0, sum_to(v.cotangent() * first, v.shape(0)));
    if (v.needs(1)) v.add(1, sum_to(v.cotangent() * (1.0 - first), v.shape(1)));
  }
};
struct Minimum : Extremum {
  static constexpr const char* name = "minimum";
  Array forward(Inputs in) { return binary_forward(name, BinaryOp::minimum, in); }
  void vjp(Vjp& v) { Extremum::vjp(v, true); }
};
struct Maximum : Extremum {
  static constexpr const char* name = "maximum";
  Array forward(Inputs in) { return binary_forward(name, BinaryOp::maximum, in); }
  void vjp(Vjp& v) { Extremum::vjp(v, false); }
};

struct Where {
  static constexpr const char* name = "where";
  static constexpr unsigned saves = 0b001;
  Array forward(Inputs in) {
    const Array &c = in[0], &a = in[1], &b = in[2];
    if (c.dtype() != DType::boolean)
      throw DTypeError(str("where: condition must be bool, got ", c.dtype()));
    if (a.dtype() != b.dtype())
      throw DTypeError(str("where: branches differ: ", a.dtype(), " and ", b.dtype()));
    Shape shape = broadcast(c.shape(), broadcast(a.shape(), b.shape(), name), name);
    Array out = a.new_empty(shape);
    kernels::where(c.broadcast_to(shape), a.broadcast_to(shape), b.broadcast_to(shape), out);
    return out;
  }
  void vjp(Vjp& v) {
    Tensor c = v.input(0), zero = c.new_full({}, 0, v.dtype(1));
    if (v.needs(1)) v.add(1, sum_to(where(c, v.cotangent(), zero), v.shape(1)));
    if (v.needs(2)) v.add(2, sum_to(where(c, zero, v.cotangent()), v.shape(2)));
  }
};

Tensor compare(const char* name, CompareOp op, const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype() && a.dtype() == DType::f16) refuse_dtype(name, a.dtype());
  if (a.dtype() != b.dtype())
    throw DTypeError(str(name, ": two operands of one comparable type expected, got ", a.dtype(),
                         " and ", b.dtype()));
  Shape shape = broadcast(a.shape(), b.shape(), name);
  Array out = a.array().new_empty(shape, DType::boolean);
  kernels::compare(op, a.array().broadcast_to(shape), b.array().broadcast_to(shape), out);
  return Tensor(std::move(out));
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return apply(Add{}, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply(Sub{}, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply(Mul{}, a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return apply(Div{}, a, b); }
Tensor pow(const Tensor& a, const Tensor& b) { return apply(PowTensor{}, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return apply(Minimum{}, a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return apply(Maximum{}, a, b); }

Tensor add(const Tensor& a, double b) { return apply(Affine{1, b}, a); }
Tensor mul(const Tensor& a, double b) { return apply(Affine{b, 0}, a); }
Tensor neg(const Tensor& x) { return apply(Affine{-1, 0}, x); }
Tensor rsub(double a, const Tensor& b) { return apply(Affine{-1, a}, b); }
Tensor div(const Tensor& a, double b) { return apply(DivNumber{b}, a); }
Tensor rdiv(double a, const Tensor& b) {
  require_floating("div", b.array());
  return a == 1 ? reciprocal(b) : div(b.new_full({}, a), b);
}
Tensor pow(const Tensor& a, double exponent) {
  require_floating("pow", a.array());
  if (exponent == 2) return square(a);
  if (exponent == 1) return apply(Affine{1, 0}, a);
  if (exponent == 0) return apply(Affine{0, 1}, a);
  return unary<rows::Pow>(a, {exponent, 0});
}

Tensor exp(const Tensor& x) { return unary<rows::Exp>(x); }
Tensor log(const Tensor& x) { return unary<rows::Log>(x); }
Tensor sqrt(const Tensor& x) { return unary<rows::Sqrt>(x); }
Tensor rsqrt(const Tensor& x) { return unary<rows::Rsqrt>(x); }
Tensor reciprocal(const Tensor& x) { return unary<rows::Reciprocal>(x); }
Tensor square(const Tensor& x) { return unary<rows::Square>(x); }
Tensor tanh(const Tensor& x) { return unary<rows::Tanh>(x); }
Tensor sigmoid(const Tensor& x) { return unary<rows::Sigmoid>(x); }
Tensor relu(const Tensor& x) { return unary<rows::Relu>(x); }
Tensor gelu(const Tensor& x) { return unary<rows::Gelu>(x); }
Tensor gelu_tanh(const Tensor& x) { return unary<rows::GeluTanh>(x); }
Tensor silu(const Tensor& x) { return unary<rows::Silu>(x); }
Tensor elu(const Tensor& x, double alpha) { return unary<rows::Elu>(x, {alpha, 0}); }
Tensor softplus(const Tensor& x) { return unary<rows::Softplus>(x); }
Tensor erf(const Tensor& x) { return unary<rows::Erf>(x); }
Tensor sin(const Tensor& x) { return unary<rows::Sin>(x); }
Tensor cos(const Tensor& x) { return unary<rows::Cos>(x); }
Tensor abs(const Tensor& x) { return unary<rows::Abs>(x); }
Tensor sign(const Tensor& x) { return unary<rows::Sign>(x); }
Tensor clamp(const Tensor& x, double low, double high) {
  if (!(low <= high)) throw ValueError(str("clamp: low ", low, " is above high ", high));
  return unary<rows::Clamp>(x, {low, high});
}

Tensor equal(const Tensor& a, const Tensor& b) { return compare("equal", CompareOp::equal, a, b); }
Tensor not_equal(const Tensor& a, const Tensor& b) {
  return compare("not_equal", CompareOp::not_equal, a, b);
}
Tensor less(const Tensor& a, const Tensor& b) { return compare("less", CompareOp::less, a, b); }
Tensor less_equal(const Tensor& a, const Tensor& b) {
  return compare("less_equal", CompareOp::less_equal, a, b);
}
Tensor greater(const Tensor& a, const Tensor& b) {
  return compare("greater", CompareOp::greater, a, b);
}
Tensor greater_equal(const Tensor& a, const Tensor& b) {
  return compare("greater_equal", CompareOp::greater_equal, a, b);
}
Tensor equal(const Tensor& a, double b) { return equal(a, number("equal", b, a)); }
Tensor less(const Tensor& a, double b) { return less(a, number("less", b, a)); }
Tensor greater(const Tensor& a, double b) { return greater(a, number("greater", b, a)); }

static Tensor logical(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  const Tensor* in[] = {&a, &b};
  return Tensor(binary_forward(name, op, Inputs(in, 2)));
}
Tensor logical_and(const Tensor& a, const Tensor& b) {
  return logical("logical_and", BinaryOp::logical_and, a, b);
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return logical("logical_or", BinaryOp::logical_or, a, b);
}
Tensor logical_not(const Tensor& a) { return equal(a, a.new_zeros({}, DType::boolean)); }

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return apply(Where{}, condition, a, b);
}
Tensor where(const Tensor& condition, const Tensor& a, double b) {
  return where(condition, a, number("where", b, a));
}
Tensor where(const Tensor& condition, double a, const Tensor& b) {
  return where(condition, number("where", a, b), b);
}

}  // namespace heed
