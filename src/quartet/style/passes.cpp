// Passes between the convolutions of a quantised style network: quartet/style/passes.py calls them.
//
// Pictures are channels-last: (rows, columns, phases² * channels). With two phases, a pixel holds
// the four pixels of a square of the doubled picture, one after the other. Sums run in a fixed
// order, so a picture gives the same bytes in any thread and process.

#include <cstdint>
#include <cstring>

namespace {

constexpr long kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef uint8_t Bytes __attribute__((vector_size(16)));

struct BFloat16 {
    uint16_t bits;
};

template <class Vector, class Value>
Vector read(const Value* source) {
    Vector vector;
    std::memcpy(&vector, source, sizeof vector);
    return vector;
}

Floats load(const float* source) { return read<Floats>(source); }
Floats load(const BFloat16* source) {
    return reinterpret_cast<Floats>(__builtin_convertvector(read<Halves>(source), Words) << 16);
}
Floats load(const uint8_t* source) {
    return __builtin_convertvector(__builtin_convertvector(read<Bytes>(source), Ints), Floats);
}

// Values that are not numbers become the second argument.
Floats smaller(Floats a, Floats b) { return a < b ? a : b; }
Floats larger(Floats a, Floats b) { return a > b ? a : b; }

void store(float* target, Floats values) { std::memcpy(target, &values, sizeof values); }
void store(BFloat16* target, Floats values) {
    Words bits = reinterpret_cast<Words>(values);
    bits += 0x7fff + ((bits >> 16) & 1);  // to nearest, ties to even
    const Halves halves = __builtin_convertvector(bits >> 16, Halves);
    std::memcpy(target, &halves, sizeof halves);
}
void store(uint8_t* target, Floats values) {
    const Floats zero = {};
    // Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the low bits.
    const Floats rounded = smaller(larger(values, zero), zero + 255.0f) + 12582912.0f;
    const Bytes bytes = __builtin_convertvector(reinterpret_cast<Ints>(rounded) & 255, Bytes);
    std::memcpy(target, &bytes, sizeof bytes);
}

// The last channels, which do not fill a vector, in a vector whose other lanes are ignored.
template <class Value>
Floats load_some(const Value* source, long count) {
    if (count == kLanes) return load(source);
    Value values[kLanes] = {};
    std::memcpy(values, source, count * sizeof(Value));
    return load(values);
}
template <class Value>
void store_some(Value* target, Floats vector, long count) {
    if (count == kLanes) return store(target, vector);
    Value values[kLanes];
    store(values, vector);
    std::memcpy(target, values, count * sizeof(Value));
}

long lanes(long channels, long channel) {
    return channels - channel < kLanes ? channels - channel : kLanes;
}

struct Statistics {
    double* sums;     // (2, channels): of differences from the origin, and of their squares
    float* extremes;  // (2, channels): minimum and maximum

    // Add a row's values of some channels; `next` returns the vector of a column.
    template <class Next>
    void add(long channels, long channel, long columns, Floats origin, Next next) {
        const long count = lanes(channels, channel);
        // Two columns at a time do not wait for each other's results.
        Floats sum[2] = {}, square[2] = {}, low[2], high[2];
        low[0] = low[1] = load_some(extremes + channel, count);
        high[0] = high[1] = load_some(extremes + channels + channel, count);
        const auto step = [&](long column, int half) {
            const Floats value = next(column), difference = value - origin;
            sum[half] += difference;
            square[half] += difference * difference;
            low[half] = smaller(value, low[half]);
            high[half] = larger(value, high[half]);
        };
        for (long column = 0; column + 1 < columns; column += 2) {
            step(column, 0);
            step(column + 1, 1);
        }
        if (columns % 2 != 0) step(columns - 1, 0);
        sum[0] += sum[1];
        square[0] += square[1];
        for (long lane = 0; lane < count; ++lane) {
            sums[channel + lane] += sum[0][lane];
            sums[channels + channel + lane] += square[0][lane];
        }
        store_some(extremes + channel, smaller(low[0], low[1]), count);
        store_some(extremes + channels + channel, larger(high[0], high[1]), count);
    }
};

template <class In>
void measure(const In* x, long rows, long columns, long phases, long channels, Statistics found) {
    const long pixel = phases * phases * channels, shift = phases - 1;
    for (long row = 0; row < rows; ++row) {
        for (long phase = 0; phase < phases * phases; ++phase) {
            const long down = phase / phases, right = phase % phases;
            if (row < down || row >= rows - shift + down) continue;
            const In* line = x + (row * columns + right) * pixel + phase * channels;
            for (long channel = 0; channel < channels; channel += kLanes) {
                const long count = lanes(channels, channel);
                found.add(channels, channel, columns - shift, load_some(x + channel, count),
                          [=](long column) {
                              return load_some(line + column * pixel + channel, count);
                          });
            }
        }
    }
}

// Copy the border of a padded picture from its interior.
template <class Out>
void pad(Out* out, long stride, long height, long width, long channels, long padding,
         bool reflect) {
    const size_t pixel = channels * sizeof(Out);
    for (long row = padding; row < height + padding; ++row) {
        Out* first = out + row * stride + padding * channels;
        Out* last = first + (width - 1) * channels;
        for (long i = 1; i <= padding; ++i) {
            const long source = reflect ? i * channels : 0;
            std::memcpy(first - i * channels, first + source, pixel);
            std::memcpy(last + i * channels, last - source, pixel);
        }
    }
    Out* first = out + padding * stride;
    Out* last = first + (height - 1) * stride;
    for (long i = 1; i <= padding; ++i) {
        const long source = reflect ? i * stride : 0;
        std::memcpy(first - i * stride, first + source, (width + 2 * padding) * pixel);
        std::memcpy(last + i * stride, last - source, (width + 2 * padding) * pixel);
    }
}

// Several pixels at a time: a row is a sequence of vectors whose channels repeat.
template <class In, class Out>
void convert_narrow(const In* x, long rows, long columns, long channels, const float* scale,
                    const float* offset, const float* floor, Out* out, long stride) {
    // As many vectors as channels are one period.
    Floats factors[kLanes], constants[kLanes], lowest[kLanes];
    for (long i = 0; i < channels * kLanes; ++i) {
        factors[i / kLanes][i % kLanes] = scale[i % channels];
        constants[i / kLanes][i % kLanes] = offset[i % channels];
        lowest[i / kLanes][i % kLanes] = floor[i % channels];
    }
    const long values = columns * channels;
    for (long row = 0; row < rows; ++row) {
        const In* source = x + row * values;
        Out* line = out + row * stride;
        for (long start = 0, part = 0; start < values; start += kLanes) {
            const long count = lanes(values, start);
            const Floats levels = load_some(source + start, count) * factors[part] + constants[part];
            store_some(line + start, larger(levels, lowest[part]), count);
            part = part + 1 == channels ? 0 : part + 1;
        }
    }
}

// A square of 2×2 pixels at a time, without border.
template <class In, class Out>
void convert_narrow_squares(const In* x, long rows, long columns, long channels,
                            const float* scale, const float* offset, const float* floor, Out* out,
                            long stride) {
    const long pixel = 4 * channels, pixels = rows * columns;
    Floats factor = {}, constant = {}, lowest = {};
    for (long i = 0; i < pixel; ++i) {
        factor[i] = scale[i % channels];
        constant[i] = offset[i % channels];
        lowest[i] = floor[i % channels];
    }
    for (long i = 0; i < pixels; ++i) {
        // Beyond the square follows the next one, except at the end.
        const long count = (pixels - i) * pixel < kLanes ? pixel : kLanes;
        const Floats levels = load_some(x + i * pixel, count) * factor + constant;
        Out square[kLanes];
        store(square, larger(levels, lowest));
        Out* target = out + (i / columns) * 2 * stride + (i % columns) * 2 * channels;
        std::memcpy(target, square, 2 * channels * sizeof(Out));
        std::memcpy(target + stride, square + 2 * channels, 2 * channels * sizeof(Out));
    }
}

template <class In, class Out>
void convert(const In* x, long rows, long columns, long phases, long shift, long channels,
             const float* scale, const float* offset, const float* floor, Out* out, long stride,
             long padding, bool reflect) {
    const long height = (rows - shift) * phases, width = (columns - shift) * phases;
    const long pixel = phases * phases * channels;
    if (phases == 1 && channels < kLanes) {
        convert_narrow(x, rows, columns, channels, scale, offset, floor,
                       out + padding * (stride + channels), stride);
        return pad(out, stride, height, width, channels, padding, reflect);
    }
    if (phases == 2 && shift == 0 && pixel < kLanes && padding == 0)
        return convert_narrow_squares(x, rows, columns, channels, scale, offset, floor, out,
                                      stride);
    for (long row = 0; row < height; ++row) {
        const long down = row % phases;
        Out* line = out + (row + padding) * stride + padding * channels;
        for (long right = 0; right < phases; ++right) {
            const In* source = x + ((row / phases + shift * down) * columns + shift * right) * pixel
                               + (down * phases + right) * channels;
            for (long channel = 0; channel < channels; channel += kLanes) {
                const long count = lanes(channels, channel);
                const Floats factor = load_some(scale + channel, count);
                const Floats constant = load_some(offset + channel, count);
                const Floats lowest = load_some(floor + channel, count);
                for (long column = 0; column < width / phases; ++column) {
                    const Floats values = load_some(source + column * pixel + channel, count);
                    store_some(line + (column * phases + right) * channels + channel,
                               larger(values * factor + constant, lowest), count);
                }
            }
        }
    }
    pad(out, stride, height, width, channels, padding, reflect);
}

template <class In>
void convert_to(int type, const In* x, long rows, long columns, long phases, long shift,
                long channels, const float* scale, const float* offset, const float* floor,
                void* out, long stride, long padding, bool reflect) {
    const auto run = [&](auto* target) {
        convert(x, rows, columns, phases, shift, channels, scale, offset, floor, target, stride,
                padding, reflect);
    };
    if (type == 0) run(static_cast<uint8_t*>(out));
    if (type == 1) run(static_cast<BFloat16*>(out));
    if (type == 2) run(static_cast<float*>(out));
}

}  // namespace

// Types of values: 0 uint8, 1 bfloat16, 2 float32.
extern "C" {

void quartet_measure(const void* x, int type, long rows, long columns, long phases, long channels,
                     double* sums, float* extremes) {
    const Statistics found = {sums, extremes};
    if (type == 0) measure(static_cast<const uint8_t*>(x), rows, columns, phases, channels, found);
    if (type == 1) measure(static_cast<const BFloat16*>(x), rows, columns, phases, channels, found);
    if (type == 2) measure(static_cast<const float*>(x), rows, columns, phases, channels, found);
}

// out = max(x * scale + offset, floor), with squares of phases put apart, and a border. `shift` is
// 1 if the second phase belongs to the next pixel; `stride` is the length of a row of `out`.
void quartet_convert(const void* x, int type, long rows, long columns, long phases, long shift,
                     long channels, const float* scale, const float* offset, const float* floor,
                     void* out, int out_type, long stride, long padding, int reflect) {
    const auto run = [&](const auto* source) {
        convert_to(out_type, source, rows, columns, phases, shift, channels, scale, offset, floor,
                   out, stride, padding, reflect != 0);
    };
    if (type == 0) run(static_cast<const uint8_t*>(x));
    if (type == 1) run(static_cast<const BFloat16*>(x));
    if (type == 2) run(static_cast<const float*>(x));
}

// sum += x * scale + offset, and the statistics of the sum.
void quartet_add(float* sum, const uint16_t* x, long rows, long columns, long channels,
                 const float* scale, const float* offset, double* sums, float* extremes) {
    Statistics found = {sums, extremes};
    const Floats zero = {};
    for (long row = 0; row < rows; ++row) {
        for (long channel = 0; channel < channels; channel += kLanes) {
            const long count = lanes(channels, channel), start = row * columns * channels + channel;
            float* target = sum + start;
            const BFloat16* source = reinterpret_cast<const BFloat16*>(x) + start;
            const Floats factor = load_some(scale + channel, count);
            const Floats constant = load_some(offset + channel, count);
            found.add(channels, channel, columns, zero, [=](long column) {
                const Floats values = load_some(source + column * channels, count);
                const Floats total =
                    load_some(target + column * channels, count) + (values * factor + constant);
                store_some(target + column * channels, total, count);
                return total;
            });
        }
    }
}

}  // extern "C"
