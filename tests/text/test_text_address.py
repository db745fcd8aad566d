import pytest

from attar.text.address import is_address


@pytest.mark.parametrize(
    "text",
    [
        "/data/upload/3/0a1b-评论.txt",
        "upload/3/0a1b-评论 2.txt",
        "/data/local-files/?d=reviews/1.txt",
        "/tasks/12/resolve/?fileuri=czM6Ly9i",
        "s3://bucket/reviews/评论 1.txt",
        "gs://bucket/reviews/1",
        "azure-blob://c/1.json",
        "https://example.org/a/1.txt?X-Amz-Expires=3600&X-Amz-Signature=ab",
        " http://localhost:8080/data/upload/3/a.txt\n",
        "data:text/plain;charset=utf-8;base64,5rO15Z2P",
        "data:,abc",
        "file:///home/a/1.txt",
        r"C:\reviews\1.txt",
        "./reviews/1.html",
        "/mnt/reviews/1.txt",
    ],
)
def test_an_address_is_known(text):
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "泵坏",
        "http://t.cn/a1 买的，泵坏了",
        "https://t.cn/a1真的好用",
        "好用/不好用",
        "/ 泵坏",
        "24/7都在用",
        "比例 1/2，data: 无",
        "/data/upload 里没有\n真的没有",
        "看 s3://b/1.txt",
        "味道：柠檬/薄荷.好",
    ],
)
def test_a_review_is_none(text):
    assert not is_address(text)
