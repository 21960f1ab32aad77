"""Weights in and out: every format, every wrong file, and nothing in a file is ever executed."""

from __future__ import annotations

import json
import os
import pickle
import sys
import types
import warnings
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import VisionTransformer

from simpleclick_lite import checkpoint, official
from simpleclick_lite.checkpoint import load_model, save_model
from simpleclick_lite.errors import InputError
from simpleclick_lite.model import ModelConfig, SimpleClick, build_model
from simpleclick_lite.official import save_official

SMALL = ModelConfig(
    image_size=64,
    width=16,
    depth=4,
    heads=2,
    pyramid_channels=(4, 4, 8, 8),
    head_channels=8,
)


@pytest.fixture
def small() -> SimpleClick:
    torch.manual_seed(0)
    return SimpleClick(SMALL).eval()


@pytest.fixture(scope="module")
def encoder() -> dict[str, torch.Tensor]:
    """An MAE encoder of micro's shape: 224 pixels, a class token, a norm at the end."""
    vit = VisionTransformer(img_size=224, embed_dim=64, depth=8, num_heads=2, num_classes=0)
    torch.nn.init.normal_(vit.pos_embed)
    return vit.state_dict()


def _same(a: SimpleClick, b: SimpleClick) -> bool:
    x, y = a.state_dict(), b.state_dict()
    return a.config == b.config and x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)


# ------------------------------------------------------------------------------- our own folders


def test_a_saved_model_loads_equal(small, tmp_path):
    save_model(small, tmp_path / "made" / "model")
    loaded = load_model(tmp_path / "made" / "model")
    assert _same(small, loaded)
    assert not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())
    assert sorted(p.name for p in (tmp_path / "made" / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


def test_a_saved_model_can_be_trained_on(small, tmp_path):
    save_model(small, tmp_path)
    loaded = load_model(str(tmp_path)).train()
    loaded(torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 2), torch.ones(1, 1)).sum().backward()
    assert all(p.grad is not None for p in loaded.parameters())


def test_half_precision_weights_are_stored_and_loaded_as_float32(small, tmp_path):
    save_model(small.half(), tmp_path)
    assert {p.dtype for p in load_model(tmp_path).parameters()} == {torch.float32}


def test_folders_of_the_hub_mixin_are_the_same_folders(small, tmp_path):
    small.save_pretrained(tmp_path / "theirs")
    assert _same(small, load_model(tmp_path / "theirs"))
    assert _same(small, SimpleClick.from_pretrained(tmp_path / "theirs"))
    save_model(small, tmp_path / "ours")
    assert _same(small, SimpleClick.from_pretrained(tmp_path / "ours"))


def test_positions_are_resampled_to_another_input_size(small, tmp_path):
    save_model(small, tmp_path)
    loaded = load_model(tmp_path, image_size=96)
    assert loaded.config.image_size == 96
    assert torch.equal(loaded.backbone.pos_embed, small.backbone.positions((6, 6)))
    assert not loaded.training


def test_an_interrupted_save_keeps_the_old_model(small, tmp_path, monkeypatch):
    save_model(small, tmp_path)

    def broken(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise RuntimeError("power cut")

    monkeypatch.setattr(Path, "write_bytes", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        save_model(SimpleClick(SMALL), tmp_path)
    monkeypatch.undo()
    assert _same(small, load_model(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


# ------------------------------------------------------------------------------- official files


@pytest.mark.parametrize("name", ["micro", "micro12", "micro14", "micro_tuned", "xtiny448"])
def test_official_files_survive_a_round_trip(golden, tmp_path, name):
    model = load_model(golden / f"simpleclick_{name}.pth")
    save_official(model, tmp_path / "again.pth")
    assert _same(model, load_model(tmp_path / "again.pth"))


def test_our_official_file_has_the_published_layout(golden, tmp_path):
    model = load_model(golden / "simpleclick_micro.pth")
    save_official(model, tmp_path / "ours.pth", classes=10)
    ours = torch.load(tmp_path / "ours.pth", weights_only=True)  # no stand-in is needed
    with torch.serialization.safe_globals(official.STAND_INS):
        theirs = torch.load(golden / "simpleclick_micro.pth", weights_only=True)
    shapes = [{k: v.shape for k, v in f["state_dict"].items()} for f in (ours, theirs)]
    assert shapes[0] == shapes[1]
    for name in checkpoint_names(model):
        a, b = ours["state_dict"][name], theirs["state_dict"][name]
        assert torch.equal(*((x[:, 1:] if "pos_embed" in name else x) for x in (a, b)))
    assert ours["config"]["class"] == theirs["config"]["class"]
    for name, entry in ours["config"]["params"].items():
        value = theirs["config"]["params"][name]["value"]
        if name == "head_params":
            value = {k: v for k, v in value.items() if k != "loss_decode"}
        assert entry["value"] == value, name


def checkpoint_names(model: SimpleClick) -> list[str]:
    return [official.official_name(k) for k in model.state_dict()]


@pytest.mark.parametrize(
    "change", [{"pyramid": "parallel"}, {"previous_mask": False}], ids=["pyramid", "mask"]
)
def test_an_ablated_network_is_no_official_one(change, tmp_path):
    model = SimpleClick(ModelConfig(**{**SMALL.__dict__, **change}))
    with pytest.raises(InputError, match="published code"):
        save_official(model, tmp_path / "a.pth")


def test_an_official_file_is_saved_as_a_folder_of_ours(golden, tmp_path):
    model = load_model(golden / "simpleclick_micro.pth")
    save_model(model, tmp_path)
    assert _same(model, load_model(tmp_path))


def _official(small: SimpleClick, path: Path, change) -> Path:
    """An official file after `change(data)`."""
    save_official(small, path, classes=3)
    data = torch.load(path, weights_only=True)
    change(data)
    torch.save(data, path)
    return path


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda d: d["state_dict"].pop("head.conv_seg.bias"), "not a complete SimpleClick"),
        (lambda d: d["state_dict"].update({"neck.extra": torch.ones(1)}), "such as neck.extra"),
        (lambda d: d["state_dict"].update({"head.conv_seg.bias": "x"}), "holds no weights"),
        (lambda d: d["state_dict"].update({"head.conv_seg.bias": torch.ones(9)}), "has shape"),
        (lambda d: d["config"].update({"class": "isegm.HRNetModel"}), "HRNetModel"),
        (lambda d: d["config"].update({"params": 3}), "not a complete"),
        (lambda d: d.update({"state_dict": [1]}), "not a complete"),
        (lambda d: d["config"]["params"]["use_disks"].update(value=False), "without disks"),
        (lambda d: d["config"]["params"]["norm_radius"].update(value=1e9), "disk_radius"),
        (
            lambda d: d["config"]["params"]["head_params"]["value"].update(upsample="x4"),
            "upsamples its head x4",
        ),
        (
            lambda d: d["config"]["params"]["backbone_params"]["value"].update(embed_dim=60000),
            "has shape",
        ),
    ],
)
def test_a_wrong_official_file_is_refused(small, tmp_path, change, says):
    path = _official(small, tmp_path / "a.pth", change)
    with pytest.raises(InputError, match=says) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------ MAE encoders


def test_an_mae_file_gives_the_backbone(encoder, tmp_path):
    extra = {"decoder_blocks.0.norm1.weight": torch.ones(3), "mask_token": torch.ones(1, 1, 64)}
    torch.save({"model": encoder | extra}, tmp_path / "mae.pth")
    with pytest.warns(UserWarning, match="fresh and must be trained"):
        model = load_model(tmp_path / "mae.pth")
    ours = model.state_dict()
    for name, value in encoder.items():
        if name.startswith("blocks."):
            assert torch.equal(ours[f"backbone.{name}"], value)
    assert torch.equal(ours["embedding.image.proj.weight"], encoder["patch_embed.proj.weight"])
    positions = resample_abs_pos_embed(
        encoder["pos_embed"], [28, 28], num_prefix_tokens=1, antialias=False
    )
    assert torch.equal(ours["backbone.pos_embed"], positions[:, 1:])
    assert model.config.image_size == 448


def test_mae_positions_stay_at_their_own_size(encoder, tmp_path):
    torch.save({"model": encoder}, tmp_path / "mae.pth")
    with pytest.warns(UserWarning):
        model = load_model(tmp_path / "mae.pth", image_size=224)
    assert torch.equal(model.backbone.pos_embed, encoder["pos_embed"][:, 1:])


@pytest.mark.parametrize("name", sorted(checkpoint.TIMM_MAE))
def test_timm_names_need_internet(monkeypatch, name):
    import timm

    def offline(*args, **more):
        raise OSError("Temporary failure in name resolution\nand a second line")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(InputError, match=f"{name}.*internet") as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


def test_timm_names_give_the_backbone(monkeypatch, encoder):
    import timm

    asked = []

    class Encoder:
        def state_dict(self):
            return encoder

    def create(name, pretrained):
        asked.append((name, pretrained))
        return Encoder()

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.warns(UserWarning, match="fresh"):
        model = load_model("vit_base_patch16_224.mae")
    assert asked == [("vit_base_patch16_224.mae", True)]
    block = "blocks.3.mlp.fc1.weight"
    assert torch.equal(model.state_dict()[f"backbone.{block}"], encoder[block])


@pytest.mark.parametrize("name", sorted(checkpoint.TIMM_MAE))
def test_timm_knows_the_mae_encoders_and_they_fit(name, monkeypatch):
    import timm

    with torch.device("meta"):
        state = timm.create_model(name, pretrained=False).state_dict()
    preset = checkpoint.PRESETS[checkpoint.TIMM_MAE[name]]
    with torch.device("meta"):
        ours = SimpleClick(preset).state_dict()
    for key in ours:
        if key.startswith("backbone.blocks."):
            assert ours[key].shape == state[key.removeprefix("backbone.")].shape
    assert state["patch_embed.proj.weight"].shape == ours["embedding.image.proj.weight"].shape


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda m: m.pop("blocks.2.attn.qkv.weight"), "not a complete MAE encoder"),
        (lambda m: m.pop("pos_embed"), "not a complete MAE encoder"),
        (
            lambda m: m.update({"patch_embed.proj.weight": torch.ones(48, 3, 16, 16)}),
            "fits none of",
        ),
    ],
)
def test_a_wrong_mae_file_is_refused(encoder, tmp_path, change, says):
    state = dict(encoder)
    change(state)
    torch.save({"model": state}, tmp_path / "mae.pth")
    with pytest.raises(InputError, match=says):
        load_model(tmp_path / "mae.pth")


# ------------------------------------------------------------------------------ wrong files


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data, says",
    [
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "JPEG"),
        (b"<!DOCTYPE html><html>no</html>", "web page"),
        (b'{"a": 1}', "JSON"),
        (b"hello there, this is a text file", "starts with"),
        (b"PK\x03\x04" + bytes(100), "zip file that breaks off"),
    ],
    ids=["empty", "png", "jpeg", "html", "json", "text", "zip"],
)
def test_a_file_that_is_no_checkpoint_is_named_for_what_it_looks_like(tmp_path, data, says):
    path = _write(tmp_path / "weights.pth", data)
    with pytest.raises(InputError, match=says) as caught:
        load_model(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_truncated_official_file_is_refused(golden, tmp_path):
    whole = (golden / "simpleclick_micro12.pth").read_bytes()
    for share in (0.1, 0.5, 0.99):
        path = _write(tmp_path / "cut.pth", whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match="cut.pth"):
            load_model(path)


@pytest.mark.parametrize(
    "value, says",
    [
        (torch.ones(3), "holds a Tensor"),
        ([1, 2], "holds a list"),
        ({"weight": torch.ones(3)}, "it holds weight"),
        ({}, "it holds nothing"),
        ({"model": torch.ones(2)}, "neither an official"),
        ({"state_dict": {"a": torch.ones(2)}}, "neither an official"),
        ({1: 2}, "it holds 1"),
    ],
)
def test_another_pytorch_file_is_refused(tmp_path, value, says):
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(InputError, match=says):
        load_model(tmp_path / "a.pth")


@pytest.mark.parametrize("size", [0, -448, 448.0, "448", True])
def test_an_input_size_that_is_no_number_of_pixels_is_refused(size):
    with pytest.raises(InputError, match="image_size must be a whole number"):
        load_model(image_size=size)


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="do not exist"):
        load_model(tmp_path / "nothing.pth")


def test_the_shipped_weights_have_a_name():
    named, unnamed = load_model("shipped"), load_model()
    assert named.config == unnamed.config
    assert torch.equal(named.head.classify.weight, unnamed.head.classify.weight)


def test_missing_shipped_weights_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path)
    with pytest.raises(InputError, match="no shipped weights"):
        load_model()


def test_bare_safetensors_are_refused(small, tmp_path):
    save_model(small, tmp_path)
    with pytest.raises(InputError, match="config.json"):
        load_model(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "config",
    [
        "not json",
        "[]",
        "{}",
        '{"config": 3}',
        '{"config": {"unknown": 3}}',
        '{"config": {"width": "wide"}}',
        '{"config": {"width": 0}}',
        '{"config": {"heads": 7}}',
        '{"config": {"image_size": 450}}',
        '{"config": {"pyramid": "round"}}',
        '{"config": {"pyramid_channels": [1, 2]}}',
        '{"config": {"disk_radius": 1e12}}',
        '{"config": {}, "format": 99}',
        '{"config": {}, "format": "new"}',
        '{"config": {}, "format": 1e999}',
    ],
)
def test_a_broken_configuration_is_refused(small, tmp_path, config):
    save_model(small, tmp_path)
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_broken_weights_in_a_folder_are_refused(small, tmp_path):
    save_model(small, tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    for data in (b"", whole[:100], whole[:-5], b"\xff" * 64):
        weights.write_bytes(data)
        with pytest.raises(InputError, match="model.safetensors"):
            load_model(tmp_path)
    weights.unlink()
    with pytest.raises(InputError, match="holds no model.safetensors"):
        load_model(tmp_path)
    safetensors.torch.save_file({"a": torch.ones(2)}, weights)
    with pytest.raises(InputError, match="does not have|lacks"):
        load_model(tmp_path)


# ------------------------------------------------------------------- nothing is ever executed


def _dig(path: Path) -> None:
    path.write_text("executed", encoding="utf-8")


class Exploit:
    """Runs a function as soon as it is unpickled."""

    def __init__(self, function, *args) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


def _zip_with(path: Path, pickled: bytes) -> None:
    """A PyTorch zip whose data.pkl is given."""
    torch.save({"a": torch.ones(1)}, path)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in parts.items():
            new.writestr(name, pickled if name.endswith("data.pkl") else data)


@pytest.fixture
def trap(tmp_path) -> Path:
    """A file that a malicious pickle would write."""
    return tmp_path / "executed.txt"


def _exploits(trap: Path) -> dict[str, Exploit]:
    command = f"echo executed > {trap}"
    return {
        "os.system": Exploit(os.system, command),
        "eval": Exploit(eval, f"open({str(trap)!r}, 'w').write('x')"),
        "exec": Exploit(exec, f"open({str(trap)!r}, 'w').write('x')"),
        "own code": Exploit(_dig, trap),
        "import": Exploit(__import__, "antigravity"),
        "nested load": Exploit(pickle.loads, pickle.dumps(Exploit(os.system, command))),
        "torch function": Exploit(torch.hub.load_state_dict_from_url, "http://localhost:9/x"),
        "getattr": Exploit(getattr, "text", "format"),
    }


@pytest.mark.parametrize("name", _exploits(Path("x")))
@pytest.mark.parametrize("where", ["zip", "bare pickle", "legacy", "in an official file"])
def test_a_malicious_pickle_is_refused_and_not_executed(small, tmp_path, trap, name, where):
    exploit = _exploits(trap)[name]
    path = tmp_path / "evil.pth"
    if where == "zip":
        torch.save({"state_dict": {}, "config": exploit}, path)
    elif where == "legacy":
        torch.save({"model": exploit}, path, _use_new_zipfile_serialization=False)
    elif where == "bare pickle":
        path.write_bytes(pickle.dumps(exploit))
    else:
        _official(
            small,
            path,
            lambda d: d["config"]["params"]["head_params"]["value"].update(loss_decode=exploit),
        )
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert not trap.exists()
    assert "\n" not in str(caught.value)


@pytest.fixture
def foreign(monkeypatch):
    """The module that official files name, here with code that must never run."""
    ran = []

    class CrossEntropyLoss:
        def __init__(self, state=None) -> None:
            self.secret = state

        def __setstate__(self, state) -> None:
            ran.append(state)

        def __call__(self, *args) -> None:
            ran.append(args)

    def cross_entropy(*args) -> None:
        ran.append(args)

    module = types.ModuleType(official.LOSS_MODULE)
    for thing in (CrossEntropyLoss, cross_entropy):
        thing.__module__, thing.__qualname__ = official.LOSS_MODULE, thing.__name__
        setattr(module, thing.__name__, thing)
    parts = official.LOSS_MODULE.split(".")
    for k in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:k]), types.ModuleType(".".join(parts[:k])))
    monkeypatch.setitem(sys.modules, official.LOSS_MODULE, module)
    return module, ran


def test_the_two_known_names_are_stand_ins_even_if_the_code_is_installed(small, tmp_path, foreign):
    module, ran = foreign

    def put(data):
        loss = module.CrossEntropyLoss("state")
        loss.function = module.cross_entropy
        data["config"]["params"]["head_params"]["value"]["loss_decode"] = loss

    path = _official(small, tmp_path / "a.pth", put)
    assert _same(small, load_model(path))
    assert ran == []


def test_calls_of_the_two_known_names_do_nothing(small, tmp_path, foreign, trap):
    module, ran = foreign
    call = Exploit(module.cross_entropy, f"echo x > {trap}")
    path = _official(
        small,
        tmp_path / "a.pth",
        lambda d: d["config"]["params"]["head_params"]["value"].update(loss_decode=call),
    )
    assert _same(small, load_model(path))
    assert ran == [] and not trap.exists()


def test_other_names_of_the_known_module_are_refused(small, tmp_path, foreign):
    module, ran = foreign

    def other() -> None:
        ran.append("other")

    other.__module__, other.__qualname__ = official.LOSS_MODULE, "other"
    module.other = other
    path = _official(
        small,
        tmp_path / "a.pth",
        lambda d: d["config"]["params"]["head_params"]["value"].update(loss_decode=Exploit(other)),
    )
    with pytest.raises(InputError, match="names the code"):
        load_model(path)
    assert ran == []


def test_a_pickle_that_builds_attributes_of_a_stand_in_changes_nothing(tmp_path):
    module, name = official.LOSS_MODULE, "cross_entropy"
    poison = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"}(X\x01\x00\x00\x00aK\x01ub."
    _zip_with(tmp_path / "evil.pth", poison)
    with pytest.raises(InputError):
        load_model(tmp_path / "evil.pth")
    assert not hasattr(official._placeholder_function, "a")


def test_the_stand_ins_are_only_known_while_a_file_is_read(golden):
    load_model(golden / "simpleclick_micro12.pth")
    assert not any(known in official.STAND_INS for known in torch.serialization.get_safe_globals())
    with pytest.raises(pickle.UnpicklingError):
        torch.load(golden / "simpleclick_micro12.pth", weights_only=True)


def test_loading_is_silent_where_nothing_is_to_be_said(golden, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_model(golden / "simpleclick_micro12.pth")
        save_model(model, tmp_path)
        load_model(tmp_path)


def test_the_configuration_file_is_plain_json(small, tmp_path):
    save_model(small, tmp_path)
    data = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert data["format"] == checkpoint.FORMAT
    assert data["config"]["pyramid_channels"] == [4, 4, 8, 8]


def test_build_model_and_saving_agree_on_every_design(tmp_path):
    for design in ("simple", "single_scale", "parallel", "partial"):
        model = build_model("micro", 64, design)
        save_model(model, tmp_path / design)
        assert _same(model, load_model(tmp_path / design))
