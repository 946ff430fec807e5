job "j" {
	group "g" {
		meta {
			名前 = "日本語" + 1
		}
	}
	/* ü */ unknown = 1
}
