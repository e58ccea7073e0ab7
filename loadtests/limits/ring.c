/* The limit of a one-producer-one-consumer ring between two processes: the same layout, orderings and algorithms as
   shared_mem/ring.py, and nothing else. Its slot size and capacity are constants here, words in the header there.

   push, pop:  one record at a time, each reading the other side's counter (try_push, front, release_front).
   send, take: in batches, each reading the other side's counter once a batch (room, put; waiting, at, release).

   Prints p50 and p99 of the one-way hop in ns (half of a round trip), and 64-byte messages a second one at a time and
   in batches.
   cc -O3 -march=native -o ring ring.c; ./ring HOPS MESSAGES BATCH */
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

#if defined(__x86_64__)
#define PAUSE() __builtin_ia32_pause()
#define TICKS() ((int64_t)__builtin_ia32_rdtsc())
#else
#define PAUSE() __asm__ __volatile__("yield")
#define TICKS() now()
#endif

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

static char *slot(struct ring *r, int64_t at) { return r->slots + (at & (CAPACITY - 1)) * SLOT; }

static int push(struct ring *r, const void *record) {
    int64_t tail = r->tail;
    if (tail - __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) > CAPACITY - 1) return 0;
    memcpy(slot(r, tail), record, SLOT);
    __atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
    return 1;
}

static int pop(struct ring *r, void *record) {
    int64_t head = r->head;
    if (__atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == head) return 0;
    memcpy(record, slot(r, head), SLOT);
    __atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
    return 1;
}

static void send_one_by_one(struct ring *r, int64_t *record, int64_t messages) {
    for (int64_t i = 0; i < messages; i++) {
        record[0] = i;
        while (!push(r, record)) PAUSE();
    }
}

static int64_t take_one_by_one(struct ring *r, int64_t *record, int64_t messages) {
    int64_t sum = 0;
    for (int64_t i = 0; i < messages; i++) {
        while (!pop(r, record)) PAUSE();
        sum += record[0];
    }
    return sum;
}

static void send_in_batches(struct ring *r, int64_t *record, int64_t messages) {
    int64_t room = 0;
    for (int64_t i = 0; i < messages; i++) {
        record[0] = i;
        while (room == 0) {
            room = CAPACITY - (r->tail - __atomic_load_n(&r->head, __ATOMIC_ACQUIRE));
            if (room == 0) PAUSE();
        }
        memcpy(slot(r, r->tail), record, SLOT);
        __atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
        room--;
    }
}

static int64_t take_in_batches(struct ring *r, int64_t *record, int64_t messages, int64_t batch) {
    int64_t sum = 0, taken = 0;
    while (taken < messages) {
        int64_t waiting = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) - r->head;
        if (waiting > batch) waiting = batch;
        if (waiting == 0) {
            PAUSE();
            continue;
        }
        for (int64_t i = 0; i < waiting; i++) {
            memcpy(record, slot(r, r->head + i), SLOT);
            sum += record[0];
        }
        __atomic_store_n(&r->head, r->head + waiting, __ATOMIC_RELEASE);
        taken += waiting;
    }
    return sum;
}

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void wait_for(struct ring *back, int64_t *record, int64_t messages) {
    while (!pop(back, record)) PAUSE();
    if (record[0] != messages * (messages - 1) / 2) {
        fprintf(stderr, "ring.c: messages were lost\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    int64_t hops = argc > 1 ? atoll(argv[1]) : 200000, messages = argc > 2 ? atoll(argv[2]) : 20000000;
    int64_t batch = argc > 3 ? atoll(argv[3]) : 64;
    struct ring *there = mmap(0, 2 * sizeof(struct ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct ring *back = there + 1;
    int64_t record[SLOT / 8] = {0};
    memset(there, 0, 2 * sizeof(struct ring));
    if (fork() == 0) {
        pin(1);
        for (int64_t i = 0; i < hops; i++) {
            while (!pop(there, record)) PAUSE();
            while (!push(back, record)) PAUSE();
        }
        record[0] = take_one_by_one(there, record, messages);
        push(back, record);
        record[0] = take_in_batches(there, record, messages, batch);
        push(back, record);
        _exit(0);
    }
    pin(0);
    int64_t *trips = calloc(hops, sizeof *trips);
    memset(trips, 1, hops * sizeof *trips);
    int64_t begin = now(), first = TICKS(), last = first;
    for (int64_t i = 0; i < hops; i++) {
        while (!push(there, record)) PAUSE();
        while (!pop(back, record)) PAUSE();
        int64_t at = TICKS();
        trips[i] = at - last;
        last = at;
    }
    double ns_per_tick = (double)(now() - begin) / (last - first);
    qsort(trips, hops, sizeof *trips, by_size);
    begin = now();
    send_one_by_one(there, record, messages);
    wait_for(back, record, messages);
    double one_by_one = messages * 1e9 / (now() - begin);
    begin = now();
    send_in_batches(there, record, messages);
    wait_for(back, record, messages);
    double batches = messages * 1e9 / (now() - begin);
    printf("%.1f %.1f %.0f %.0f\n", trips[hops / 2] * ns_per_tick / 2, trips[hops * 99 / 100] * ns_per_tick / 2,
           one_by_one, batches);
    wait(0);
    return 0;
}
