"""
A local practice site and local proxies, good and faulty: for the demo, for users' spiders, for the tests.

    with Lab(pages=3, proxies=8, faults=["refused", "ban"]) as lab:
        lab.write_proxies("proxies.txt")
        ... crawl lab.named_url + "/page/1" ...
        assert lab.direct == 0
"""

from pinpool.lab.faults import FAULTS, SiteFault
from pinpool.lab.lab import Lab
from pinpool.lab.pages import PER_PAGE, Film
from pinpool.lab.proxies import SECRET
from pinpool.lab.request_log import LabProxy, Seen
from pinpool.lab.shop import Product

__all__ = ["FAULTS", "PER_PAGE", "SECRET", "Film", "Lab", "LabProxy", "Product", "Seen", "SiteFault"]
