// Parse a text and lay its syntax tree out as an array in preorder.
//
// Crossing from Go to C costs more than visiting a node, and a Go object per node
// costs more still, so the whole file is one crossing and the tree is gone before
// it returns. The walk keeps no stack of its own: every node that is descended
// into is recorded, and its record remembers the parent, so the depth of the
// input is bounded by memory alone.

#define _POSIX_C_SOURCE 200809L // clock_gettime

#include "flatten.h"

#include <stdlib.h>
#include <time.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

TSTree *ts_parser_parse_with_options(TSParser *, const TSTree *, TSInput, TSParseOptions);
void ts_tree_delete(TSTree *);
TSNode ts_tree_root_node(const TSTree *);
TSTreeCursor ts_tree_cursor_new(TSNode);
void ts_tree_cursor_delete(TSTreeCursor *);
TSNode ts_tree_cursor_current_node(const TSTreeCursor *);
TSFieldId ts_tree_cursor_current_field_id(const TSTreeCursor *);
bool ts_tree_cursor_goto_parent(TSTreeCursor *);
bool ts_tree_cursor_goto_next_sibling(TSTreeCursor *);
bool ts_tree_cursor_goto_first_child(TSTreeCursor *);
TSSymbol ts_node_symbol(TSNode);
bool ts_node_is_named(TSNode);
bool ts_node_is_missing(TSNode);
uint32_t ts_node_child_count(TSNode);
uint32_t ts_node_start_byte(TSNode);
uint32_t ts_node_end_byte(TSNode);
TSPoint ts_node_start_point(TSNode);

static const TSSymbol ERROR_SYMBOL = UINT16_MAX;
static const uint32_t NO_NODE = UINT32_MAX;

// The runtime builds large trees out of small blocks. glibc keeps freed ones per
// thread, and the Go scheduler moves a parser from thread to thread, so without a
// trim each of them would hold on to the peak of the largest file it ever saw
// (100 bytes per byte of text). Texts below this size are not worth the trim.
static const uint32_t TRIM_LENGTH = 128 << 10;

static void trim_heap(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

flat_parser *flat_new(void) {
  flat_parser *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->parser = ts_parser_new();
  if (!p->parser) {
    free(p);
    return NULL;
  }
  return p;
}

void flat_delete(flat_parser *p) {
  ts_parser_delete(p->parser);
  free(p->nodes);
  free(p);
}

static bool grow(flat_parser *p) {
  uint32_t capacity = p->capacity ? p->capacity * 2 : 4096;
  flat_node *nodes = realloc(p->nodes, (size_t)capacity * sizeof *nodes);
  if (!nodes) return false;
  p->nodes = nodes;
  p->capacity = capacity;
  return true;
}

static int flatten(flat_parser *p, TSTreeCursor *cursor, uint32_t max_nodes) {
  uint32_t parent = NO_NODE, error_end = 0;
  for (;;) {
    TSNode node = ts_tree_cursor_current_node(cursor);
    TSFieldId field = ts_tree_cursor_current_field_id(cursor);
    uint32_t start = ts_node_start_byte(node), end = ts_node_end_byte(node);
    TSSymbol kind = ts_node_symbol(node);
    if (ts_node_is_missing(node)) p->missing++;
    if (kind == ERROR_SYMBOL) {
      p->errors++;
      if (end > error_end) { // an error inside an error is counted once
        p->error_bytes += end - (start > error_end ? start : error_end);
        error_end = end;
      }
    }
    // Punctuation and keywords are left out unless the grammar gives them a field
    // (operators) or they have children (aliased rules).
    bool descend = ts_node_child_count(node) > 0;
    uint32_t me = NO_NODE;
    if (descend || field || ts_node_is_named(node)) {
      if (p->count >= max_nodes) return FLAT_TOO_MANY_NODES;
      if (p->count == p->capacity && !grow(p)) return FLAT_NO_MEMORY;
      me = p->count++;
      p->nodes[me] = (flat_node){
          .start = start, .end = end, .row = ts_node_start_point(node).row,
          .parent = parent, .next = p->count, .kind = kind, .field = field};
    }
    if (descend && ts_tree_cursor_goto_first_child(cursor)) {
      parent = me;
      continue;
    }
    while (!ts_tree_cursor_goto_next_sibling(cursor)) {
      if (!ts_tree_cursor_goto_parent(cursor)) return FLAT_OK;
      p->nodes[parent].next = p->count;
      parent = p->nodes[parent].parent;
    }
  }
}

// reading is one parse in progress.
typedef struct {
  const flat_parser *parser;
  const char *text;
  uint32_t length;
  uint64_t begun, busy_begun; // of the clock and of the thread's processor time
  flat_limits limits;
  bool stopped;
} reading;

static uint64_t micros(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool must_stop(reading *r) {
  if (r->stopped || __atomic_load_n(&r->parser->cancelled, __ATOMIC_RELAXED)) return r->stopped = true;
  uint64_t passed = micros(CLOCK_MONOTONIC) - r->begun;
  // Processor time is never more than the time passed, and dearer to ask for.
  return r->stopped = passed > r->limits.timeout_micros ||
      (passed > r->limits.busy_micros &&
       micros(CLOCK_THREAD_CPUTIME_ID) - r->busy_begun > r->limits.busy_micros);
}

static bool on_progress(TSParseState *state) { return must_stop(state->payload); }

// The runtime asks for progress once in a hundred steps, and each of them may be a
// scanner that looks for the end of a string all through the text: a second for
// every megabyte. So the text is handed out in pieces, and ends where the time does.
static const uint32_t PIECE_LENGTH = 16 << 10;

static const char *read_piece(void *payload, uint32_t from, TSPoint position, uint32_t *length) {
  (void)position;
  reading *r = payload;
  if (from >= r->length || must_stop(r)) {
    *length = 0;
    return "";
  }
  uint32_t rest = r->length - from;
  *length = rest < PIECE_LENGTH ? rest : PIECE_LENGTH;
  return r->text + from;
}

int flat_parse(flat_parser *p, const char *text, uint32_t length, flat_limits limits) {
  p->count = p->errors = p->missing = p->error_bytes = 0;
  reading r = {
      .parser = p, .text = text, .length = length, .limits = limits,
      .begun = micros(CLOCK_MONOTONIC), .busy_begun = micros(CLOCK_THREAD_CPUTIME_ID)};
  TSTree *tree = ts_parser_parse_with_options(
      p->parser, NULL, (TSInput){.payload = &r, .read = read_piece},
      (TSParseOptions){.payload = &r, .progress_callback = on_progress});
  if (!tree || r.stopped) { // a tree may be that of half the text
    if (tree) ts_tree_delete(tree);
    // The next parse must not resume this one. ts_parser_reset would see to that,
    // but in runtime 0.25 it keeps the mark of a parse that was stopped while its tree
    // was balanced, and the parse after it aborts the process. So: a new parser.
    ts_parser_delete(p->parser);
    p->parser = ts_parser_new();
    if (length >= TRIM_LENGTH) trim_heap();
    return FLAT_STOPPED;
  }
  TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(tree));
  int outcome = flatten(p, &cursor, limits.nodes);
  ts_tree_cursor_delete(&cursor);
  ts_tree_delete(tree);
  if (length >= TRIM_LENGTH) trim_heap();
  return outcome;
}
