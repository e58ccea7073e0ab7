/* The limit of an order's way from a client's socket to a venue's: both connections are polled without rest, and what
   comes out of one is sent into the other, byte for byte, unread. Connects to two ports of this machine, moves bytes
   both ways, and ends when either peer closes.
   cc -O3 -march=native -o relay relay.c; ./relay CLIENT_PORT VENUE_PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 65536

static int connected(int port) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&there, sizeof there) != 0) {
        perror("connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* What is there now, all of it; 0 when the peer has gone. */
static int move(int from, int to, char *bytes) {
    ssize_t found = recv(from, bytes, ROOM, MSG_DONTWAIT);
    if (found == 0) return 0;
    if (found < 0) return errno == EAGAIN || errno == EINTR;
    for (ssize_t at = 0; at < found;) {
        ssize_t sent = send(to, bytes + at, found - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) return 0;
        if (sent > 0) at += sent;
    }
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    static char bytes[ROOM];
    int client = connected(atoi(argv[1])), venue = connected(atoi(argv[2]));
    while (move(client, venue, bytes) && move(venue, client, bytes)) {
    }
    close(client);
    close(venue);
    return 0;
}
