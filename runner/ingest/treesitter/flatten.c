// Parse a text and lay its syntax tree out as an array in preorder.
//
// Crossing from Go to C costs more than visiting a node, and a Go object per node
// costs more still, so the whole file is one crossing and the tree is gone before
// it returns. The walk keeps no stack of its own: every node that is descended
// into is recorded, and its record remembers the parent, so the depth of the
// input is bounded by memory alone.

#include "flatten.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

TSTree *ts_parser_parse_string(TSParser *, const TSTree *, const char *, uint32_t);
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
  ts_parser_set_cancellation_flag(p->parser, &p->cancelled);
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

int flat_parse(flat_parser *p, const char *text, uint32_t length, uint64_t timeout_micros, uint32_t max_nodes) {
  p->count = p->errors = p->missing = p->error_bytes = 0;
  ts_parser_set_timeout_micros(p->parser, timeout_micros);
  TSTree *tree = ts_parser_parse_string(p->parser, NULL, text, length);
  if (!tree) {
    // The next parse must not resume this one. ts_parser_reset would see to that,
    // but in runtime 0.25 it keeps the mark of a parse that was stopped while its tree
    // was balanced, and the parse after it aborts the process. So: a new parser.
    ts_parser_delete(p->parser);
    p->parser = ts_parser_new();
    ts_parser_set_cancellation_flag(p->parser, &p->cancelled);
    if (length >= TRIM_LENGTH) trim_heap();
    return FLAT_STOPPED;
  }
  TSTreeCursor cursor = ts_tree_cursor_new(ts_tree_root_node(tree));
  int outcome = flatten(p, &cursor, max_nodes);
  ts_tree_cursor_delete(&cursor);
  ts_tree_delete(tree);
  if (length >= TRIM_LENGTH) trim_heap();
  return outcome;
}
