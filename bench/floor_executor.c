/* The least that an executor can cost: speaks the v1 executor API of Mesos over HTTP, runs one program, says that it runs, ends
 * it when it is told to. bench/crew.py compiles it and measures ours against it; nothing else uses it. It understands no JSON:
 * it looks for the few words that it needs in what an agent of Mesos 1.11 sends. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char in[4 << 20], task[512], data[1 << 20];
static const char *framework, *executor;
static pid_t program;

static void leave(const char *why) {
    fprintf(stderr, "floor executor: %s\n", why);
    exit(1);
}

/* Send a call on a connection of its own. */
static int call(const char *body) {
    char head[4096], host[64], *endpoint = getenv("MESOS_AGENT_ENDPOINT"), *colon = strchr(endpoint, ':');
    const char *token = getenv("MESOS_EXECUTOR_AUTHENTICATION_TOKEN");
    snprintf(host, sizeof host, "%.*s", (int)(colon - endpoint), endpoint);
    struct sockaddr_in agent = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    inet_pton(AF_INET, host, &agent.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&agent, sizeof agent)) leave("no agent");
    int length = snprintf(head, sizeof head,
        "POST /api/v1/executor HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
        "%s%s%sContent-Length: %zu\r\n\r\n", endpoint, token ? "Authorization: Bearer " : "", token ? token : "",
        token ? "\r\n" : "", strlen(body));
    if (write(fd, head, length) != length || write(fd, body, strlen(body)) < 0) leave("the agent does not listen");
    return fd;
}

static void update(const char *state) {
    char body[4096], uuid[25] = "", answer[256];
    unsigned char random[18] = {0};
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (getentropy(random, 16)) leave("no random numbers");
    random[6] = (random[6] & 15) | 64, random[8] = (random[8] & 63) | 128;
    for (int i = 0; i < 18; i += 3) {
        unsigned three = random[i] << 16 | random[i + 1] << 8 | random[i + 2];
        for (int k = 0; k < 4; k++) uuid[i / 3 * 4 + k] = digits[three >> (18 - 6 * k) & 63];
    }
    uuid[22] = uuid[23] = '=';
    snprintf(body, sizeof body,
        "{\"type\":\"UPDATE\",\"executor_id\":{\"value\":\"%s\"},\"framework_id\":{\"value\":\"%s\"},\"update\":{\"status\":"
        "{\"task_id\":{\"value\":\"%s\"},\"executor_id\":{\"value\":\"%s\"},\"state\":\"%s\",\"source\":\"SOURCE_EXECUTOR\","
        "\"timestamp\":%ld,\"uuid\":\"%s\"}}}", executor, framework, task, executor, state, (long)time(NULL), uuid);
    int fd = call(body);
    if (read(fd, answer, sizeof answer) < 12 || strncmp(answer + 9, "202", 3)) leave("the agent refuses an update");
    close(fd);
}

/* The text behind a word, up to the next quote, without backslashes. */
static void text_of(const char *from, const char *word, char *to, size_t most) {
    const char *at = strstr(from, word);
    if (!at) leave(word);
    for (at += strlen(word); *at != '"' && most > 1; at++)
        if (*at != '\\') *to++ = *at, most--;
    *to = 0;
}

static int sextet(char c) {
    return c >= 'a' ? c - 'a' + 26 : c >= 'A' ? c - 'A' : c >= '0' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : 0;
}

static void launch(const char *event) {
    char *argv[64], *to = data;
    int count = 0;
    text_of(event, "\"task_id\":{\"value\":\"", task, sizeof task);
    text_of(event, "\"data\":\"", data, sizeof data);
    for (char *from = data; from[0] && from[1] && from[2] && from[3]; from += 4) {
        int bits = sextet(from[0]) << 18 | sextet(from[1]) << 12 | sextet(from[2]) << 6 | sextet(from[3]);
        *to++ = bits >> 16, *to++ = bits >> 8, *to++ = bits;
    }
    *to = 0;
    char *at = strstr(data, "\"argv\":[");
    if (!at) leave("no argv");
    for (at += 8; *at && *at != ']' && count < 63; at++)
        if (*at == '"') {
            argv[count++] = at + 1;
            at = strchr(at + 1, '"');
            *at = 0;
        }
    argv[count] = NULL;
    update("TASK_STARTING");
    program = fork();
    if (!program) {
        execvp(argv[0], argv);
        _exit(127);
    }
    update("TASK_RUNNING");
}

int main(void) {
    char body[2048];
    framework = getenv("MESOS_FRAMEWORK_ID"), executor = getenv("MESOS_EXECUTOR_ID");
    if (!framework || !executor) leave("a Mesos agent starts it");
    snprintf(body, sizeof body,
        "{\"type\":\"SUBSCRIBE\",\"executor_id\":{\"value\":\"%s\"},\"framework_id\":{\"value\":\"%s\"},\"subscribe\":{}}",
        executor, framework);
    int fd = call(body);
    size_t had = 0;
    for (ssize_t got; (got = read(fd, in + had, sizeof in - had - 1)) > 0;) {
        in[had += got] = 0;
        if (had < 5 || strcmp(in + had - 2, "\r\n")) continue; /* a chunk is not whole */
        if (strstr(in, "\"type\":\"LAUNCH\"")) launch(in);
        if (strstr(in, "\"type\":\"KILL\"") || strstr(in, "\"type\":\"SHUTDOWN\"")) {
            kill(program, SIGKILL);
            waitpid(program, NULL, 0);
            update("TASK_KILLED");
            sleep(1); /* the agent passes it on */
            return 0;
        }
        had = 0;
    }
    return 1;
}
