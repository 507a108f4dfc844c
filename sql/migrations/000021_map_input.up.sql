comment on column htdag.map_items.map_index is
  'Place of the element, from 0. At -1 is what all elements of a map over the run''s input are given of it: the input without the array.';
