// Octet in plain C++: eight floats that any compiler can keep in whatever registers the baseline has.
#include <cstdint>

namespace cnnfast {
namespace CNNFAST_ISA {

struct Octet {
  float v[8];
};

template <class T>
static inline Octet oload(const T* p) {
  Octet r;
  for (int i = 0; i < 8; ++i) r.v[i] = static_cast<float>(p[i]);
  return r;
}
// wa * a + wb * b
static inline Octet omix(Octet a, Octet b, float wa, float wb) {
  Octet r;
  for (int i = 0; i < 8; ++i) r.v[i] = wa * a.v[i] + wb * b.v[i];
  return r;
}
// The same of single floats, rounded as in an octet: pixels that are read one by one get the same bits.
static inline float mix_one(float a, float b, float wa, float wb) { return wa * a + wb * b; }
// The first pixel, of C channels, and one lane more if it has three.
template <int C>
static inline void ostore_pixel(float* p, Octet a) {
  for (int i = 0; i < 4; ++i) p[i] = a.v[i];
}
// w0 * the first pixel + w1 * the second, stored likewise.
template <int C>
static inline void ostore_mixed(float* p, Octet a, float w0, float w1) {
  static_assert(C == 3 || C == 4, "two pixels fill an octet");
  for (int i = 0; i < 4; ++i) p[i] = w0 * a.v[i] + w1 * a.v[i + C];
}

}  // namespace CNNFAST_ISA
}  // namespace cnnfast
