Lists and counts cost the same in a store a hundred times as large; a page of a user's topics is a range of an index.
