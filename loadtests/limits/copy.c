/* The limit of taking ticks: each is copied out of a ring of slots into the row of its instrument, and nothing else.
   Instruments are drawn at random, as in loadtests/ticks.py. Prints ticks a second.
   cc -O3 -march=native -o copy copy.c; ./copy TICK_BYTES SLOT_BYTES INSTRUMENTS BATCH BATCHES */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    size_t tick = atol(argv[1]), slot = atol(argv[2]), instruments = atol(argv[3]), batch = atol(argv[4]);
    size_t batches = atol(argv[5]);
    char *ring = malloc(batch * slot), *rows = malloc(instruments * slot);
    memset(rows, 0, instruments * slot);
    uint64_t dice = 88172645463325252ULL;
    int64_t spent = 0;
    for (size_t round = 0; round < batches; round++) {
        for (size_t i = 0; i < batch; i++) { /* as a producer leaves it: written, in the cache */
            dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
            uint32_t instrument = dice % instruments;
            memset(ring + i * slot, (int)round, slot);
            memcpy(ring + i * slot, &instrument, sizeof instrument);
        }
        int64_t begin = now();
        for (size_t i = 0; i < batch; i++) {
            uint32_t instrument;
            memcpy(&instrument, ring + i * slot, sizeof instrument);
            memcpy(rows + instrument * slot, ring + i * slot, tick);
        }
        spent += now() - begin;
    }
    printf("%.0f %d\n", batch * batches * 1e9 / spent, rows[slot / 2]);
    return 0;
}
