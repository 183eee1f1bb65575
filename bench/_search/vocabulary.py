"""The words of the invented city: what its shops are, what they are called and where they stand.

A line of `_TRADES` is: code, Chinese, English, share of all shops, usual price in yuan | words that end a shop's name |
what it offers. A Chinese word and its English stand as `zh=en`.
"""

from __future__ import annotations

from dataclasses import dataclass

Words = tuple[tuple[str, str], ...]
"""Pairs (Chinese, English)."""

_TRADES = """
hair 美发 Hair 120 88 | 美发=Hair 造型=Hair Studio 理发店=Barber Shop 美发沙龙=Hair Salon 剪发工作室=Haircut Studio | 洗剪吹=Wash, Cut and Blow-dry 男士剪发=Men's Haircut 女士剪发=Women's Haircut 冷烫=Cold Perm 染发=Hair Colouring 头皮护理=Scalp Care 儿童剪发=Children's Haircut 头发营养护理=Hair Treatment
beauty 美容 Beauty 105 198 | 美容=Beauty 美容院=Beauty Salon 皮肤管理=Skin Care 美容会所=Beauty Club | 深层清洁=Deep Cleansing 补水保湿=Hydrating Facial 小气泡清洁=Bubble Facial 祛痘护理=Acne Care 眼部护理=Eye Care 抗衰紧致=Firming Facial 美白淡斑=Brightening Facial
nails 美甲美睫 Nails 95 128 | 美甲=Nails 美甲美睫=Nails and Lashes 美甲店=Nail Bar 指尖艺术=Nail Art | 纯色美甲=Plain Gel Nails 猫眼美甲=Cat Eye Nails 法式美甲=French Nails 手部护理=Hand Care 嫁接睫毛=Eyelash Extensions 足部美甲=Pedicure 卸甲=Nail Removal
massage 按摩足疗 Massage 90 168 | 足道=Foot Massage 推拿=Tuina 养生馆=Wellness 按摩会所=Massage Club 足浴=Foot Bath | 足底按摩=Foot Massage 全身推拿=Full Body Tuina 肩颈放松=Neck and Shoulder Massage 精油SPA=Oil Spa 中式按摩=Chinese Massage 艾灸调理=Moxibustion 拔罐刮痧=Cupping and Scraping 采耳=Ear Cleaning
fitness 运动健身 Fitness 70 99 | 健身=Fitness 健身房=Gym 健身工作室=Fitness Studio 运动馆=Sports Hall | 私教课=Personal Training 团课体验=Group Class 单次健身=Single Visit 体测评估=Body Check 拳击课=Boxing Class 动感单车=Spinning Class 月卡=Monthly Pass
pet 宠物 Pets 52 109 | 宠物店=Pet Shop 宠物生活馆=Pet House 宠物美容=Pet Grooming 宠物医院=Pet Clinic | 小型犬洗澡=Small Dog Bath 大型犬洗澡=Large Dog Bath 猫咪洗护=Cat Bath 宠物造型=Pet Styling 宠物寄养=Pet Boarding 疫苗接种=Pet Vaccination 驱虫=Deworming
photo 摄影 Photography 40 299 | 摄影=Photography 照相馆=Photo Studio 影像馆=Portrait Studio 写真馆=Portraits | 证件照=ID Photo 形象照=Business Portrait 个人写真=Portrait Session 情侣写真=Couple Session 全家福=Family Portrait 儿童摄影=Children's Photos 毕业照=Graduation Photos
yoga 瑜伽普拉提 Yoga 38 120 | 瑜伽=Yoga 瑜伽馆=Yoga Studio 普拉提=Pilates | 哈他瑜伽=Hatha Yoga 流瑜伽=Vinyasa Yoga 空中瑜伽=Aerial Yoga 器械普拉提=Reformer Pilates 产后修复=Postnatal Class 体态矫正=Posture Class
dental 口腔齿科 Dental 34 199 | 口腔=Dental 齿科=Dental Care 口腔门诊=Dental Clinic 牙科诊所=Dentist | 洗牙=Teeth Cleaning 补牙=Filling 牙齿美白=Teeth Whitening 口腔检查=Dental Check 儿童涂氟=Fluoride for Children 智齿拔除=Wisdom Tooth Removal 牙齿矫正=Orthodontics
tcm 中医理疗 Chinese Medicine 36 158 | 中医馆=Chinese Medicine 国医堂=Chinese Medicine Hall 理疗馆=Physiotherapy | 针灸=Acupuncture 推拿正骨=Bone Setting 艾灸=Moxa 小儿推拿=Tuina for Children 中医问诊=Consultation 三伏贴=Summer Plasters 颈椎调理=Neck Therapy
carwash 洗车养护 Car Care 48 60 | 洗车=Car Wash 汽车养护=Car Care 汽车美容=Car Detailing 车行=Garage | 标准洗车=Standard Wash 精致洗车=Premium Wash 内饰清洁=Interior Cleaning 打蜡=Waxing 镀晶=Ceramic Coating 更换机油=Oil Change 轮胎更换=Tyre Change
cleaning 家政保洁 Cleaning 44 149 | 家政=Home Services 保洁=Cleaning 到家服务=At Home Services | 日常保洁=Regular Cleaning 深度保洁=Deep Cleaning 擦玻璃=Window Cleaning 油烟机清洗=Range Hood Cleaning 空调清洗=Air Conditioner Cleaning 地板打蜡=Floor Waxing 收纳整理=Tidying Up
repair 维修安装 Repairs 42 80 | 维修=Repairs 家电维修=Appliance Repair 手机维修=Phone Repair 锁业=Locksmith | 换屏=Screen Replacement 换电池=Battery Replacement 空调维修=Air Conditioner Repair 洗衣机维修=Washing Machine Repair 开锁=Lock Opening 换锁芯=Lock Replacement 水管疏通=Pipe Clearing
laundry 洗衣 Laundry 36 35 | 洗衣=Laundry 干洗店=Dry Cleaning 洗衣坊=Laundry House | 衬衫洗熨=Shirt Wash and Iron 羽绒服干洗=Down Jacket Cleaning 西装干洗=Suit Cleaning 洗鞋=Shoe Cleaning 窗帘清洗=Curtain Cleaning 被子清洗=Quilt Cleaning 皮具护理=Leather Care
hotpot 火锅 Hotpot 62 96 | 火锅=Hotpot 老火锅=Old Hotpot 涮肉坊=Mutton Hotpot 串串香=Skewers | 双人套餐=Set for Two 四人套餐=Set for Four 毛肚=Beef Tripe 鲜切牛肉=Fresh Beef 鸳鸯锅底=Twin Broth 菌菇锅=Mushroom Pot 虾滑=Shrimp Paste
sichuan 川湘菜 Sichuan and Hunan 50 75 | 川菜馆=Sichuan Restaurant 湘菜=Hunan Kitchen 小炒=Stir-fry Kitchen 酸菜鱼=Pickled Fish | 水煮鱼=Boiled Fish 麻婆豆腐=Mapo Tofu 回锅肉=Twice Cooked Pork 剁椒鱼头=Fish Head with Chili 宫保鸡丁=Kung Pao Chicken 双人套餐=Set for Two 小炒黄牛肉=Fried Beef
noodles 面馆小吃 Noodles and Snacks 78 26 | 面馆=Noodle House 拉面=Ramen 小吃店=Snack Bar 馄饨铺=Wonton Shop 生煎=Fried Buns | 牛肉面=Beef Noodles 葱油拌面=Scallion Noodles 小馄饨=Small Wontons 生煎馒头=Fried Buns 小笼包=Soup Dumplings 酸辣粉=Hot and Sour Noodles 卤肉饭=Braised Pork Rice
coffee 咖啡 Coffee 66 29 | 咖啡=Coffee 咖啡馆=Café 精品咖啡=Speciality Coffee | 拿铁=Latte 美式咖啡=Americano 手冲咖啡=Pour Over 冷萃咖啡=Cold Brew 燕麦拿铁=Oat Latte 提拉米苏=Tiramisu 可颂=Croissant
tea 奶茶饮品 Tea 64 18 | 奶茶=Milk Tea 茶饮=Tea House 鲜果茶=Fruit Tea | 珍珠奶茶=Bubble Tea 芝士葡萄=Grape with Cheese 杨枝甘露=Mango Pomelo 柠檬茶=Lemon Tea 芋泥奶茶=Taro Milk Tea 抹茶拿铁=Matcha Latte
bakery 面包甜点 Bakery 46 32 | 面包房=Bakery 烘焙=Baking House 甜品=Desserts 蛋糕店=Cake Shop | 生日蛋糕=Birthday Cake 吐司面包=Toast 蛋挞=Egg Tart 巴斯克蛋糕=Basque Cake 麻薯=Mochi 泡芙=Cream Puff
bbq 烧烤烤肉 Barbecue 40 88 | 烧烤=Barbecue 烤肉=Grill 炭火烤肉=Charcoal Grill 羊肉串=Lamb Skewers | 双人烤肉=Grill for Two 羊肉串=Lamb Skewers 烤生蚝=Grilled Oysters 烤五花肉=Grilled Pork Belly 烤鱼=Grilled Fish 烤茄子=Grilled Aubergine
japanese 日料 Japanese 30 138 | 日料=Japanese Kitchen 寿司=Sushi 居酒屋=Izakaya 鳗鱼饭=Eel Rice | 寿司拼盘=Sushi Platter 刺身拼盘=Sashimi Platter 鳗鱼饭=Eel Rice 天妇罗=Tempura 豚骨拉面=Tonkotsu Ramen 午市套餐=Lunch Set
western 西餐 Western 28 148 | 西餐厅=Western Restaurant 牛排馆=Steak House 披萨=Pizza 小酒馆=Bistro | 菲力牛排=Fillet Steak 玛格丽特披萨=Pizza Margherita 意大利面=Pasta 凯撒沙拉=Caesar Salad 双人套餐=Set for Two 早午餐=Brunch
bar 酒吧 Bars 26 78 | 酒吧=Bar 精酿啤酒=Craft Beer 清吧=Lounge | 精酿啤酒=Craft Beer 招牌鸡尾酒=House Cocktail 威士忌=Whisky 欢乐时光=Happy Hour 小食拼盘=Snack Platter
ktv 唱歌 KTV 16 128 | 量贩式歌城=KTV 欢唱会所=Karaoke Club | 欢唱三小时=Three Hours of Singing 下午场=Afternoon Session 夜间场=Night Session 大包厢=Large Room 生日派对=Birthday Party
games 桌游密室 Games 22 108 | 剧本杀=Murder Mystery 密室逃脱=Escape Room 桌游吧=Board Games | 恐怖密室=Horror Room 情感本=Drama Script 推理本=Detective Script 机械密室=Mechanical Room 狼人杀=Werewolf Night 包场=Whole Venue
cinema 影院 Cinema 9 45 | 影城=Cinema 私人影院=Private Cinema | 电影票=Cinema Ticket 双人影厅=Room for Two 爆米花套餐=Popcorn Set 巨幕厅=Giant Screen
swim 游泳 Swimming 12 58 | 游泳馆=Swimming Pool 游泳俱乐部=Swimming Club | 单次游泳=Single Swim 成人私教=Lesson for Adults 儿童游泳课=Lesson for Children 亲子游泳=Family Swim 十次卡=Ten Visits
badminton 球馆 Courts 18 66 | 羽毛球馆=Badminton Hall 篮球馆=Basketball Hall 乒乓球馆=Table Tennis Hall 网球中心=Tennis Centre | 场地一小时=Court for an Hour 周末场地=Weekend Court 私教课=Private Lesson 陪练=Sparring Partner 夜场=Night Court
music 音乐舞蹈 Music and Dance 30 118 | 琴行=Music School 舞蹈=Dance Studio 音乐教室=Music Room 街舞工作室=Street Dance | 钢琴体验课=Piano Trial 吉他课=Guitar Lesson 声乐课=Singing Lesson 少儿街舞=Street Dance for Children 成人爵士舞=Jazz Dance 古筝课=Guzheng Lesson
tutoring 教育培训 Courses 32 150 | 书法教室=Calligraphy 画室=Art School 英语=English School 编程=Coding School | 少儿美术=Art for Children 素描课=Drawing Class 硬笔书法=Pen Calligraphy 口语外教课=Spoken English 少儿编程=Coding for Children 试听课=Trial Lesson
baby 母婴亲子 Parents and Children 26 168 | 母婴馆=Mother and Baby 亲子乐园=Family Park 婴儿游泳=Baby Swimming 月子会所=Postnatal House | 婴儿游泳=Baby Swim 亲子门票=Family Ticket 小儿推拿=Tuina for Children 满月理发=First Haircut 产后修复=Postnatal Care 早教课=Early Learning
optics 眼镜 Opticians 18 268 | 眼镜=Opticians 视光中心=Vision Centre | 验光配镜=Eye Test and Glasses 儿童验光=Eye Test for Children 隐形眼镜=Contact Lenses 镜片更换=Lens Replacement 眼镜维修=Glasses Repair
florist 鲜花 Flowers 22 129 | 花店=Florist 花艺=Floral Art 鲜花坊=Flower House | 玫瑰花束=Rose Bouquet 生日花束=Birthday Bouquet 每周一花=Weekly Flowers 开业花篮=Opening Basket 花艺体验课=Floral Class
tattoo 纹绣 Tattoo and Brows 14 380 | 纹绣=Brow Studio 纹身=Tattoo 半永久=Permanent Make-up | 野生眉=Natural Brows 雾眉=Powder Brows 小图纹身=Small Tattoo 唇部纹绣=Lip Tint 美瞳线=Eyeliner
spa 水疗汤泉 Spa 14 238 | 汤泉=Hot Spring 水疗=Spa 桑拿=Sauna 洗浴中心=Bath House | 单人门票=Single Ticket 双人门票=Ticket for Two 精油SPA=Oil Spa 搓澡=Body Scrub 过夜套票=Overnight Ticket 自助晚餐=Buffet Dinner
"""

_FIRST = """青qing 木mu 禾he 云yun 一yi 小xiao 半ban 南nan 北bei 东dong 西xi 初chu 有you 无wu 三san 九jiu 千qian 百bai 万wan 金jin 银yin
玉yu 兰lan 竹zhu 梅mei 菊ju 荷he 莲lian 桃tao 杏xing 枫feng 柳liu 松song 柏bai 桂gui 茉mo 薇wei 芷zhi 若ruo 如ru 似si 拾shi 听ting
观guan 问wen 知zhi 念nian 忆yi 思si 想xiang 乐le 悦yue 喜xi 欢huan 福fu 禄lu 寿shou 康kang 宁ning 安an 和he 平ping 顺shun 泰tai 瑞rui
祥xiang 吉ji 利li 丰feng 盛sheng 隆long 兴xing 旺wang 昌chang 鼎ding 元yuan 本ben 清qing 明ming 朗lang 晴qing 暖nuan 春chun 夏xia 秋qiu 冬dong
晨chen 暮mu 星xing 月yue 日ri 光guang 影ying 风feng 雨yu 雪xue 露lu 霜shuang 海hai 湖hu 江jiang 河he 山shan 石shi 岩yan 林lin 森sen"""

_SECOND = """里li 间jian 舍she 集ji 记ji 坊fang 阁ge 堂tang 轩xuan 苑yuan 园yuan 庭ting 居ju 屋wu 房fang 巷xiang 街jie 桥qiao 渡du 岸an
时shi 光guang 年nian 华hua 色se 彩cai 香xiang 味wei 心xin 意yi 情qing 缘yuan 语yu 言yan 声sheng 音yin 歌ge 诗shi 画hua 书shu
丝si 线xian 羽yu 叶ye 花hua 果guo 朵duo 枝zhi 蔓man 草cao 芽ya 溪xi 泉quan 池chi 川chuan 洲zhou 湾wan 峰feng 岭ling 谷gu
鹿lu 鹤he 燕yan 雀que 鱼yu 蝶die 猫mao 熊xiong 象xiang 马ma 龙long 凤feng 麟lin 鸣ming 舞wu 飞fei 归gui 来lai 往wang 行xing
可ke 然ran 尚shang 雅ya 美mei 妍yan 颜yan 姿zi 韵yun 秀xiu 丽li 娜na 莎sha 琪qi 菲fei 诺nuo 迪di 维wei 格ge 派pai"""

_PLACES = """人民广场=People's Square 静安寺=Jing'an Temple 徐家汇=Xujiahui 陆家嘴=Lujiazui 五角场=Wujiaochang 中山公园=Zhongshan Park
新天地=Xintiandi 南京东路=East Nanjing Road 淮海路=Huaihai Road 打浦桥=Dapuqiao 虹桥=Hongqiao 古北=Gubei 七宝=Qibao 莘庄=Xinzhuang
张江=Zhangjiang 金桥=Jinqiao 世纪公园=Century Park 前滩=Qiantan 三林=Sanlin 川沙=Chuansha 周浦=Zhoupu 大宁=Daning 北外滩=North Bund
四川北路=North Sichuan Road 曹杨=Caoyang 长寿路=Changshou Road 真如=Zhenru 江桥=Jiangqiao 南翔=Nanxiang 嘉定新城=Jiading New City
安亭=Anting 松江大学城=Songjiang University Town 泗泾=Sijing 九亭=Jiuting 青浦=Qingpu 赵巷=Zhaoxiang 奉贤=Fengxian 南桥=Nanqiao
金山=Jinshan 临港=Lingang 惠南=Huinan 宝山=Baoshan 顾村=Gucun 共康=Gongkang 杨浦滨江=Yangpu Riverside 控江路=Kongjiang Road
世博源=Expo Axis 龙华=Longhua 漕河泾=Caohejing 田林=Tianlin 上海南站=South Station 虹口足球场=Hongkou Stadium 鲁班路=Luban Road
豫园=Yu Garden 老西门=Laoximen 江湾=Jiangwan 彭浦=Pengpu 桃浦=Taopu 北新泾=Beixinjing 天山=Tianshan 华漕=Huacao 浦江=Pujiang"""

_DISTRICTS = """黄浦区=Huangpu 静安区=Jing'an 徐汇区=Xuhui 长宁区=Changning 普陀区=Putuo 虹口区=Hongkou 杨浦区=Yangpu 浦东新区=Pudong
闵行区=Minhang 宝山区=Baoshan 嘉定区=Jiading 松江区=Songjiang 青浦区=Qingpu 奉贤区=Fengxian 金山区=Jinshan"""

_ROADS = """南京=Nanjing 淮海=Huaihai 延安=Yan'an 北京=Beijing 福州=Fuzhou 四川=Sichuan 西藏=Tibet 河南=Henan 长宁=Changning 武宁=Wuning
中山=Zhongshan 世纪=Century 张杨=Zhangyang 浦东=Pudong 沪南=Hunan 上南=Shangnan 东方=Dongfang 民生=Minsheng 控江=Kongjiang 黄兴=Huangxing
四平=Siping 大连=Dalian 江湾=Jiangwan 共和=Gonghe 沪太=Hutai 曹杨=Caoyang 真北=Zhenbei 金沙江=Jinshajiang 天山=Tianshan 虹桥=Hongqiao
漕宝=Caobao 漕溪=Caoxi 龙华=Longhua 桂林=Guilin 宜山=Yishan 田林=Tianlin 莘朱=Xinzhu 七莘=Qixin 顾戴=Gudai 都市=Dushi
嘉定=Jiading 曹安=Cao'an 宝安=Bao'an 新闸=Xinzha 愚园=Yuyuan 万航渡=Wanhangdu 长寿=Changshou 江宁=Jiangning 胶州=Jiaozhou 常德=Changde"""


@dataclass(frozen=True)
class Trade:
    """One category: how common it is, what it usually costs, what its shops are called and offer."""

    code: str
    zh: str
    en: str
    share: float
    price_yuan: int
    endings: Words
    offers: Words


def _pairs(text: str) -> Words:
    """Pairs from `zh=en zh=en …`; the Chinese has no blanks, and an English word without `=` goes on with the last."""
    found: list[tuple[str, str]] = []
    for part in text.split():
        zh, equals, en = part.partition("=")
        if equals:
            found.append((zh, en))
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]} {part}")
    return tuple(found)


def _syllables(text: str) -> Words:
    """Pairs (character, reading) from `青qing 木mu …`."""
    return tuple((part[0], part[1:]) for part in text.split())


def _trade(line: str) -> Trade:
    head, endings, offers = line.split(" | ")
    code, zh, *en, share, price = head.split()
    return Trade(code, zh, " ".join(en), float(share), int(price), _pairs(endings), _pairs(offers))


TRADES: tuple[Trade, ...] = tuple(_trade(line) for line in _TRADES.strip().splitlines())
FIRST, SECOND = _syllables(_FIRST), _syllables(_SECOND)
PLACES, DISTRICTS, ROADS = _pairs(_PLACES), _pairs(_DISTRICTS), _pairs(_ROADS)
