comment on column htdag.map_items.map_index is null;
