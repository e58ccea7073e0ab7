/* The limit of a one-producer-one-consumer ring between two processes: the same layout and orderings as
   shared_mem/ring.py, and nothing else. Prints the one-way hop in ns and 64-byte messages a second.
   cc -O3 -march=native -o ring ring.c */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CAPACITY = 4096, SLOT = 64 };

struct ring {
    _Alignas(128) volatile int64_t tail;
    _Alignas(128) volatile int64_t head;
    _Alignas(128) char slots[CAPACITY * SLOT];
};

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int push(struct ring *r, const void *record) {
    int64_t tail = r->tail;
    if (tail - __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) > CAPACITY - 1) return 0;
    memcpy(r->slots + (tail & (CAPACITY - 1)) * SLOT, record, SLOT);
    __atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
    return 1;
}

static int pop(struct ring *r, void *record) {
    int64_t head = r->head;
    if (__atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == head) return 0;
    memcpy(record, r->slots + (head & (CAPACITY - 1)) * SLOT, SLOT);
    __atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
    return 1;
}

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

int main(int argc, char **argv) {
    int64_t hops = argc > 1 ? atoll(argv[1]) : 200000, messages = argc > 2 ? atoll(argv[2]) : 20000000;
    struct ring *there = mmap(0, 2 * sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct ring *back = there + 1;
    char record[SLOT] = {0};
    memset(there, 0, 2 * sizeof(struct ring));
    if (fork() == 0) {
        pin(1);
        for (int64_t i = 0; i < hops; i++) {
            while (!pop(there, record)) __builtin_ia32_pause();
            while (!push(back, record)) __builtin_ia32_pause();
        }
        int64_t sum = 0;
        for (int64_t i = 0; i < messages; i++) {
            while (!pop(there, record)) __builtin_ia32_pause();
            sum += record[0];
        }
        record[0] = (char)sum;
        push(back, record);
        _exit(0);
    }
    pin(0);
    int64_t begin = now();
    for (int64_t i = 0; i < hops; i++) {
        while (!push(there, record)) __builtin_ia32_pause();
        while (!pop(back, record)) __builtin_ia32_pause();
    }
    double hop = (double)(now() - begin) / hops / 2;
    begin = now();
    for (int64_t i = 0; i < messages; i++)
        while (!push(there, record)) __builtin_ia32_pause();
    while (!pop(back, record)) __builtin_ia32_pause();
    double rate = messages * 1e9 / (now() - begin);
    printf("%.1f %.0f\n", hop, rate);
    wait(0);
    return 0;
}
