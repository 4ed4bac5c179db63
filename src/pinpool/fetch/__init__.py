"""One exchange through one proxy."""
