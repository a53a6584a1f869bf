import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffpp_tools.errors import TableError
from ffpp_tools.grouping.groups import (
    identity_edges,
    identity_groups,
    node_categories,
    person_nodes,
    resolve_node,
    shortest_path,
    shortest_paths,
    still_identities,
)
from ffpp_tools.store.tables import read_frames

NO_FAKES = ("Youtube", "Actors", "CelebA", "CelebA-HQ", "Portraits", "Celeb-real", "DFDC-real")


def ledger(*rows):
    """Rows of (category, compression, clip, target, source) and, for stills, the photograph."""
    columns = ["category", "compression", "clip", "target_id", "source_id", "photo"]
    table = pd.DataFrame([(*row, "")[:6] for row in rows], columns=columns).astype("str")
    table["label"] = ["real" if c in NO_FAKES else "fake" for c in table["category"]]
    table["frame_id"] = table["category"] + "/" + table["compression"] + "/" + table["clip"] + "/0"
    return table


def grouped(frames, **known):
    return list(identity_groups(frames, identity_edges(frames, **known)))


def items(*rows):
    return pd.DataFrame(rows, columns=["item", "partner", "kind", "distance"])


def test_a_fake_connects_its_target_and_its_source():
    frames = ledger(
        ("Youtube", "c40", "183", "183", ""),
        ("Youtube", "c40", "253", "253", ""),
        ("Youtube", "c40", "469", "469", ""),
        ("Deepfakes", "c40", "253_183", "253", "183"),
        ("FaceSwap", "c23", "183_253", "183", "253"),
    )
    pair, alone = "Youtube/183", "Youtube/469"
    assert grouped(frames) == [pair, pair, alone, pair, pair]


def test_equal_numbers_of_actors_and_videos_are_different_people():
    frames = ledger(
        ("Youtube", "c40", "013", "013", ""),
        ("Actors", "c40", "013__kitchen_pan", "013", ""),
        ("DeepFakeDetection", "c40", "013_07__kitchen_pan__ABC", "013", "07"),
    )
    actors = "Actors/013__kitchen_pan"
    assert grouped(frames) == ["Youtube/013", actors, actors]


def test_photographs_are_connected_by_identity_and_by_celeba_number():
    frames = ledger(
        ("CelebA", "still", "img/000001", "2880", "", "000001"),
        ("CelebA", "still", "img/000002", "2880", "", "000002"),
        ("CelebA", "still", "img/000003", "17", "", "000003"),
        ("CelebA-HQ", "still", "7", "", "", "000002"),
        ("CelebA-HQ", "still", "8", "", "", "000009"),
        ("Portraits", "still", "000003", "", "", ""),
    )
    first, second, third, same_as_second, own, other = grouped(frames)
    assert first == second == same_as_second
    assert len({first, third, own, other}) == 4


def test_celeba_identities_are_known_by_number_without_the_photographs():
    frames = ledger(
        ("CelebA", "still", "000731", "2929", "", "000731"),
        ("CelebA-HQ", "still", "5", "", "", "000055"),
        ("CelebA-HQ", "still", "6", "", "", "000056"),
    )
    first, second, other = grouped(frames, people={"000055": "2929", "000056": "1"})
    assert first == second != other


def test_a_stills_own_identity_takes_precedence_over_that_of_its_photograph():
    frames = ledger(
        ("CelebA", "still", "000001", "7", "", "000001"),
        ("CelebA-HQ", "still", "5", "", "", "000001"),
        ("CelebA-HQ", "still", "6", "", "", "000009"),
    )
    assert list(still_identities(frames, {"000001": "8"})) == ["CelebA/7", "CelebA/8", ""]


def test_equal_identities_of_two_sets_are_different_people():
    frames = ledger(("CelebA", "still", "000001", "7", ""), ("Portraits", "still", "a", "7", ""))
    assert len(set(grouped(frames))) == 2


def test_celeb_df_and_dfdc_clips_are_connected_by_their_own_people():
    frames = ledger(
        ("Celeb-real", "native", "id0_0000", "id0", ""),
        ("Celeb-real", "native", "id1_0003", "id1", ""),
        ("Celeb-real", "native", "id2_0000", "id2", ""),
        ("Celeb-synthesis", "native", "id0_id1_0000", "id0", "id1"),
        ("DFDC-real", "native", "abc", "abc", ""),
        ("DFDC-fake", "native", "xyz", "abc", ""),
        ("Youtube", "c23", "000", "000", ""),
        ("YouTube-real", "native", "000", "000", ""),
    )
    a, b, c, fake, dfdc, dfdc_fake, youtube, other_youtube = grouped(frames)
    assert a == b == fake == "Celeb-real/id0_0000"
    assert dfdc == dfdc_fake
    assert len({a, c, dfdc, youtube, other_youtube}) == 5


def test_clips_of_one_youtube_video_are_connected_even_if_only_a_fake_shows_one():
    frames = ledger(
        ("Youtube", "c40", "755", "755", ""),
        ("Deepfakes", "c40", "001_756", "001", "756"),
        ("Youtube", "c40", "002", "002", ""),
    )
    videos = {"755": "AbC", "756": "AbC", "001": "x", "002": "y", "999": "AbC"}
    same_video, fake, other = grouped(frames, videos=videos)
    assert same_video == fake != other


def test_duplicates_and_embeddings_are_edges():
    frames = ledger(
        ("CelebA", "still", "1", "", ""),
        ("CelebA", "still", "2", "", ""),
        ("Youtube", "c40", "002", "002", ""),
        ("Youtube", "c40", "003", "003", ""),
    )
    duplicates = items(("CelebA/2", "CelebA/1", "near", 0.1), ("CelebA/1", "", "truncated", 0.0))
    identities = items(("Youtube/002", "CelebA/2", "", 0.35), ("Youtube/003", "", "", float("nan")))
    first, second, clip, other = grouped(frames, duplicates=duplicates, identities=identities)
    assert first == second == clip == "CelebA/1"
    assert other == "Youtube/003"
    edges = identity_edges(frames, duplicates=duplicates, identities=identities)
    assert shortest_path(edges, "CelebA/1", "Youtube/002") == [
        ("CelebA/1", "CelebA/2", "near", "distance 0.1"),
        ("CelebA/2", "Youtube/002", "embedding", "distance 0.35"),
    ]


def test_the_shortest_path_is_empty_if_nodes_are_not_connected():
    frames = ledger(
        ("Deepfakes", "c40", "000_001", "000", "001"),
        ("Deepfakes", "c40", "001_002", "001", "002"),
        ("FaceSwap", "c40", "000_002", "000", "002"),
        ("Youtube", "c40", "009", "009", ""),
    )
    edges = identity_edges(frames)
    path = shortest_path(edges, "Youtube/000", "Youtube/002")
    assert [step[:3] for step in path] == [
        ("Youtube/000", "FaceSwap/000_002", "pair"),
        ("FaceSwap/000_002", "Youtube/002", "pair"),
    ]
    assert shortest_path(edges, "Youtube/000", "Youtube/009") == []
    assert shortest_path(edges, "Youtube/000", "Youtube/000") == []


def test_paths_start_from_the_nearest_root():
    links = [("A", "B"), ("B", "C"), ("C", "D"), ("D", "E"), ("X", "Y")]
    edges = pd.DataFrame([(*link, "near", f"by {link[0]}") for link in links])
    edges.columns = ["a", "b", "reason", "detail"]
    to_c, to_d, to_y, to_a, to_z = shortest_paths(edges, ["A", "E"], ["C", "D", "Y", "A", "Z"])
    assert to_c == [("A", "B", "near", "by A"), ("B", "C", "near", "by B")]
    assert to_d == [("E", "D", "near", "by D")]
    assert to_y == to_a == to_z == []
    assert shortest_paths(edges.head(0), ["A"], ["B"]) == [[]]
    assert shortest_paths(edges, [], ["B"]) == [[]]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("ABCDEFGH"), st.sampled_from("ABCDEFGH")), max_size=12),
    st.lists(st.sampled_from("ABCDEFGH"), min_size=1, max_size=3),
)
def test_paths_are_shortest_and_consist_of_edges(links, roots):
    edges = pd.DataFrame([(a, b, "near", "") for a, b in links if a != b])
    edges = edges.reindex(columns=range(4)).set_axis(["a", "b", "reason", "detail"], axis=1)
    near = {frozenset(link) for link in links}
    steps, reached = dict.fromkeys(roots, 0), list(roots)
    for one in reached:
        for other in "ABCDEFGH":
            if frozenset((one, other)) in near and other not in steps:
                steps[other] = steps[one] + 1
                reached.append(other)
    for end, chain in zip("ABCDEFGH", shortest_paths(edges, roots, "ABCDEFGH"), strict=True):
        assert len(chain) == steps.get(end, 0)
        if chain:
            assert chain[0][0] in roots
            assert chain[-1][1] == end
            assert all(frozenset(step[:2]) in near for step in chain)
            assert [step[1] for step in chain[:-1]] == [step[0] for step in chain[1:]]


def test_edges_have_a_reason_and_a_detail():
    frames = ledger(
        ("Youtube", "c40", "000", "000", ""),
        ("Youtube", "c40", "001", "001", ""),
        ("Deepfakes", "c40", "000_001", "000", "001"),
        ("Actors", "c40", "01__kitchen", "01", ""),
        ("CelebA", "still", "000001", "7", "", "000001"),
    )
    edges = identity_edges(
        frames,
        videos={"000": "abc", "001": "abc"},
        duplicates=items(("Youtube/001", "Youtube/000", "identical", 0.0)),
        identities=items(("CelebA/000001", "Youtube/000", "", 0.1234)),
    )
    assert {tuple(row) for row in edges.itertuples(index=False)} == {
        ("Deepfakes/000_001", "Youtube/000", "pair", ""),
        ("Deepfakes/000_001", "Youtube/001", "pair", ""),
        ("Actors/01__kitchen", "actor 01", "actor", ""),
        ("CelebA/000001", "identity CelebA/7", "identity", ""),
        ("CelebA/000001", "photograph 000001", "photograph", ""),
        ("Youtube/000", "video abc", "video", ""),
        ("Youtube/001", "video abc", "video", ""),
        ("Youtube/001", "Youtube/000", "identical", "distance 0.0"),
        ("CelebA/000001", "Youtube/000", "embedding", "distance 0.123"),
    }
    assert list(node_categories(edges["a"].tail(1))) == ["CelebA"]
    assert list(person_nodes(frames.iloc[[2, 3]], "target_id")) == ["Youtube/000", "actor 01"]


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("Deepfakes/000_001", "Deepfakes/000_001"),
        ("Deepfakes/c40/000_001", "Deepfakes/000_001"),
        ("Deepfakes/c40/000_001/0", "Deepfakes/000_001"),
        ("Deepfakes/c40/000_001/0/2", "Deepfakes/000_001"),
        ("009", "Youtube/009"),
    ],
)
def test_nodes_are_resolved_from_names_of_clips_frames_and_faces(name, node):
    frames = ledger(
        ("Deepfakes", "c40", "000_001", "000", "001"),
        ("FaceSwap", "c40", "000_001", "000", "001"),
        ("Youtube", "c40", "009", "009", ""),
    )
    assert resolve_node(frames, name) == node
    with pytest.raises(TableError, match=r"2 clips or.*Deepfakes/000_001, FaceSwap/000_001"):
        resolve_node(frames, "000_001")
    with pytest.raises(TableError, match=r"matches no clip .*Deepfakes/000_001"):
        resolve_node(frames, "nobody")


@pytest.mark.parametrize("seed", range(3))
def test_groups_do_not_depend_on_the_order_of_the_rows(dataset, seed):
    frames = read_frames(dataset)
    shuffled = frames.sample(frac=1, random_state=seed)
    pd.testing.assert_series_equal(
        identity_groups(shuffled, identity_edges(shuffled)).sort_index(),
        identity_groups(frames, identity_edges(frames)),
    )


people = st.integers(0, 12).map("{:03d}".format)


@settings(deadline=None)
@given(st.lists(st.tuples(people, people), max_size=15), st.lists(st.tuples(people, people)))
def test_groups_are_the_connected_components(fakes, matches):
    """The components are computed here by merging sets."""
    rows = [("Youtube", "c40", f"{n:03d}", f"{n:03d}", "") for n in range(13)]
    rows += [("Deepfakes", "c40", f"{a}_{b}", a, b) for a, b in fakes]
    frames = ledger(*rows)
    identities = items(*((f"Youtube/{a}", f"Youtube/{b}", "", 0.3) for a, b in matches))
    found = dict(zip(frames["clip"], grouped(frames, identities=identities), strict=True))
    sets = [{f"{n:03d}"} for n in range(13)]
    for a, b in [*fakes, *matches]:
        joined = [s for s in sets if s & {a, b}]
        sets = [s for s in sets if s not in joined] + [set().union(*joined)]
    for members in sets:
        names = {found[m] for m in members}
        assert len(names) == 1
        assert names == {f"Youtube/{min(members)}"}
