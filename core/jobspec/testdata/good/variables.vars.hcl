dcs  = ["from-file"]
name = "from first file"
