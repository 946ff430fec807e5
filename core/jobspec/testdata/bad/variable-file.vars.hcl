a = "${var.n}"
n = [1]
blk {}
