"""Does training on the pairs help: a model before and after, on tasks it was not trained on."""
